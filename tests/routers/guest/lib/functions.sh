# A stand-in for OpenWrt's shell functions that read UCI: quicap itself reads the file.

config_load() {
	CONFIG_SHOWN=$(quicap uci-show "/etc/config/$1")
}

# config_foreach FUNCTION TYPE ARGUMENT...
config_foreach() {
	local function=$1 type=$2 section
	shift 2
	for section in $(echo "$CONFIG_SHOWN" | sed -n "s/^[^.]*\.\([^.=]*\)=$type\$/\1/p"); do
		"$function" "$section" "$@"
	done
}

# config_get VARIABLE SECTION OPTION DEFAULT
config_get() {
	local value
	value=$(echo "$CONFIG_SHOWN" | sed -n "s/^[^.]*\.$2\.$3='\(.*\)'\$/\1/p")
	eval "$1=\${value:-\$4}"
}

config_get_bool() {
	config_get "$@"
	eval "case \$$1 in 1|on|true|yes|enabled) $1=1 ;; *) $1=0 ;; esac"
}

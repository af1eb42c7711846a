# Stand-in for /lib/functions.sh: sections and options of a configuration, from what `uci show` prints.
SECTIONS=

config_load() {
	local line name value
	SECTIONS=
	uci -q show "$1" >/tmp/shown || return 1
	while IFS= read -r line; do
		name=${line%%=*}
		name=${name#"$1".}
		value=${line#*=}
		case "$name" in
		@* | *[!a-zA-Z0-9_.]*) ;; # a section without a name
		*.*) eval "OPTION_${name%%.*}_${name#*.}=$value" ;;
		*)
			SECTIONS="$SECTIONS $name"
			eval "TYPE_$name=$value"
			;;
		esac
	done </tmp/shown
}

config_foreach() {
	local function=$1 type=$2 section kind
	shift 2
	for section in $SECTIONS; do
		eval "kind=\$TYPE_$section"
		[ "$kind" != "$type" ] || "$function" "$section" "$@"
	done
}

config_get() {
	eval "$1=\${OPTION_${2}_$3:-\$4}"
}

config_get_bool() {
	config_get "$@"
	eval "case \"\$$1\" in
	1 | on | true | yes | enabled) $1=1 ;;
	0 | off | false | no | disabled) $1=0 ;;
	*) $1=\$4 ;;
	esac"
}

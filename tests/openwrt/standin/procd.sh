# Stand-in for /lib/functions/procd.sh: makes the message that procd gets, and hands it to ubus.

# JSON as text; NEST says what is open, innermost first: o an object, a an array.
json_init() {
	JSON='{'
	NEST=o
}

json_put() {
	case "$NEST" in
	o*) JSON="$JSON\"$1\":$2" ;;
	a*) JSON="$JSON$2" ;;
	esac
}

json_add_string() {
	json_put "$1" "\"$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')\","
}

json_add_int() {
	json_put "$1" "$2,"
}

json_add_boolean() {
	case "$2" in 1) json_put "$1" true, ;; *) json_put "$1" false, ;; esac
}

json_add_object() {
	json_put "$1" '{'
	NEST=o$NEST
}

json_add_array() {
	json_put "$1" '['
	NEST=a$NEST
}

json_close_object() {
	JSON="${JSON%,}},"
	NEST=${NEST#?}
}

json_close_array() {
	JSON="${JSON%,}],"
	NEST=${NEST#?}
}

json_dump() {
	printf '%s}' "${JSON%,}"
}

procd_open_service() {
	json_init
	json_add_string name "$1"
	json_add_string script "$2"
	json_add_object instances
}

procd_close_service() {
	json_close_object
	json_add_array triggers
	! has service_triggers || service_triggers
	json_close_array
	ubus call service set "$(json_dump)"
}

procd_open_instance() {
	json_add_object "$1"
}

procd_close_instance() {
	json_close_object
}

add_strings() {
	json_add_array "$1"
	shift
	local word
	for word; do
		json_add_string "" "$word"
	done
	json_close_array
}

procd_set_param() {
	local kind=$1 pair
	shift
	case "$kind" in
	command | file | respawn | netdev) add_strings "$kind" "$@" ;;
	env | limits)
		json_add_object "$kind"
		for pair; do
			json_add_string "${pair%%=*}" "${pair#*=}"
		done
		json_close_object
		;;
	reload_signal) json_add_int "$kind" "$(kill -l "$1")" ;;
	stdout | stderr) json_add_boolean "$kind" "$1" ;;
	term_timeout) json_add_int "$kind" "$1" ;;
	*)
		echo "the stand-in does not know procd_set_param $kind" >&2
		exit 1
		;;
	esac
}

procd_open_data() {
	json_add_object data
}

procd_close_data() {
	json_close_object
}

# "NAME", [["run_script", WORD...]], MILLISECONDS
procd_add_raw_trigger() {
	local event=$1 delay=$2
	shift 2
	json_add_array
	json_add_string "" "$event"
	json_add_array
	add_strings "" run_script "$@"
	json_close_array
	json_add_int "" "$delay"
	json_close_array
}

# "config.change", ["if", ["eq", "package", NAME], ["run_script", SCRIPT, "reload"]], 1000
procd_add_reload_trigger() {
	json_add_array
	json_add_string "" config.change
	json_add_array
	json_add_string "" "if"
	add_strings "" eq package "$1"
	add_strings "" run_script "$initscript" reload
	json_close_array
	json_add_int "" 1000
	json_close_array
}

procd_kill() {
	ubus call service delete "{\"name\":\"$1\"${2:+,\"instance\":\"$2\"}}"
}

procd_send_signal() {
	ubus call service signal "{\"name\":\"$1\",\"signal\":$(kill -l "$3")}"
}

_procd_status() {
	if [ -e /tmp/service ]; then echo running; else
		echo inactive
		return 3
	fi
}

# in_group.sh GROUP COMMAND...: becomes COMMAND in a control group, for cgroup.rs.
echo $$ >"$1/cgroup.procs" || exit 1
shift
exec "$@"

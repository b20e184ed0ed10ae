# The state of a server at the runtime socket: `ready` or `drain`. 1: forced into maintenance, 8: drained.
runtime_state() {
    state=$(admin_state "$1" "$2")
    case $state in
    '' | *[!0-9]*) echo unknown ;;
    *) if [ $((state & 9)) -eq 0 ]; then echo ready; else echo drain; fi ;;
    esac
}

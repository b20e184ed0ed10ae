# has_services PROJECT SERVICE…: exit 0 where Ballerina.toml names exactly these services, each once. Changes nothing.
set -eu
toml="$1/Ballerina.toml"
[ -f "$toml" ] || { echo "$toml does not exist"; exit 1; }
shift
wanted=$(for name in "$@"; do printf '%s\n' "$name"; done | LC_ALL=C sort)
found=$(sed -n 's/^ *options\.services *= *\[\(.*\)\].*/\1/p' "$toml" | tr ',' '\n' | sed 's/^ *"//; s/" *$//; s/:.*//' | sed '/^$/d' | LC_ALL=C sort)
[ "$wanted" = "$found" ] || { echo "the project has: $(echo $found); asked for: $(echo $wanted)"; exit 1; }

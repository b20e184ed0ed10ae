# Prints the file $1, then `# runtime NAME STATE` for every server of the backend $3 that the socket $2 knows. Changes nothing.
path=$1 socket=$2 backend=$3
[ -f "$path" ] || exit 1
cat "$path"
[ -S "$socket" ] || exit 0
ask "show servers state $backend" 2>/dev/null | awk '$1 ~ /^[0-9]+$/ && NF > 7 { print "# runtime", $4, $7 }'
exit 0

# Exits 0 where the file $1 has the sha256 $2 and the balancer serves the generation $3 at the URL $4 under the Host $5;
# with a file $6, which names the master, only where no old worker still finishes requests, and nobody changes anything.
path=$1 sha256=$2 generation=$3 url=$4 host=$5 pid_file=$6
if [ "$(sha256sum "$path" 2>/dev/null | cut -c 1-64)" != "$sha256" ]; then
    echo "$path is missing or another" >&2
    exit 1
fi
served=$(curl --silent --max-time 2 --noproxy '*' --header "Host: $host" "$url")
if [ "$served" != "$generation" ]; then
    echo "generation '$served' is in force, not $generation" >&2
    exit 1
fi
[ -n "$pid_file" ] || exit 0
# Whoever holds the lock may have reloaded a moment ago: his old workers bear no title to know them by yet.
if [ -e "$pid_file.balbook-lock" ] && ! flock -n "$pid_file.balbook-lock" true; then
    say "another change of this balancer is going on"
    exit 1
fi
master=$(master)
if [ -n "$master" ] && [ -n "$(leaving "$master")" ]; then
    say "generation $generation is in force, but old workers still finish requests"
    exit 1
fi

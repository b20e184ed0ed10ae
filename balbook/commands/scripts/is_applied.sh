# Exits 0 where the file $1 has the sha256 $2 and the balancer serves the generation $3 at the URL $4 under the Host $5;
# with a file $6, which names the master, only where no old worker still finishes requests and no run changes the balancer.
path=$1 sha256=$2 generation=$3 url=$4 host=$5 pid_file=$6
[ "$(digest "$path")" = "$sha256" ] || refuse 1 "$path is missing or has another content"
now=$(served)
[ "$now" = "$generation" ] || refuse 1 "generation '$now' is in force, not $generation"
[ -n "$pid_file" ] || exit 0
# The holder of the lock may have reloaded a moment ago: then the old workers have no title yet that gives them away.
[ ! -e "$pid_file.balbook-lock" ] || flock -n "$pid_file.balbook-lock" true || refuse 1 "another run is changing this balancer"
master=$(master)
[ -z "$master" ] || [ -z "$(leaving "$master")" ] || refuse 1 "generation $generation is in force, but old workers still finish requests"

# Exits 0 where balbook's own NGINX runs and its main file has the sha256 $3.
pid_file=$1 main=$2 sha256=$3
[ "$(digest "$main")" = "$sha256" ] || refuse 1 "$main is missing or has another content"
[ -n "$(master)" ] || refuse 1 "nginx is not running"

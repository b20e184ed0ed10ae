# Exits 0 where balbook's own NGINX runs and its main file has the sha256 $3.
pid_file=$1 main=$2 sha256=$3
[ "$(sha256sum "$main" 2>/dev/null | cut -c 1-64)" = "$sha256" ] || { say "$main is missing or another"; exit 1; }
[ -n "$(master)" ] || { say "nginx is not running"; exit 1; }

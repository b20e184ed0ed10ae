# Exits 0 where the file $1 has the sha256 $2 and the balancer serves the generation $3 at the URL $4 under the Host $5.
path=$1 sha256=$2 generation=$3 url=$4 host=$5
if [ "$(sha256sum "$path" 2>/dev/null | cut -c 1-64)" != "$sha256" ]; then
    echo "$path is missing or another" >&2
    exit 1
fi
served=$(curl --silent --max-time 2 --noproxy '*' --header "Host: $host" "$url")
if [ "$served" != "$generation" ]; then
    echo "generation '$served' is in force, not $generation" >&2
    exit 1
fi

# Puts HAProxy's whole configuration (stdin) in force and keeps drained servers drained. Exit statuses: see haproxy.py.
path=$1 marker=$2 sha256=$3 generation=$4 pid_file=$5 socket=$6 state_file=$7 is_own=$8 url=$9
within_s=${10}
new=$path.balbook-new
previous=$path.balbook-previous
LC_ALL=C
export LC_ALL
umask 022
[ -z "$is_own" ] || mkdir -p "${path%/*}" || exit 1

served() { curl --silent --max-time 2 --noproxy '*' "$url" 2>/dev/null; }

restore() {
    if [ -n "$had_previous" ]; then
        cp -p "$previous" "$new" && mv -f "$new" "$path"
    else
        rm -f "$path"
    fi
}

# The file as the distribution installed it is nobody's work, and may be replaced.
is_untouched() {
    command -v dpkg-query >/dev/null 2>&1 &&
        dpkg-query --show --showformat='${Conffiles}\n' haproxy 2>/dev/null | grep -q "^ $1 $(md5sum <"$1" | cut -c 1-32)"
}

launch() {
    if [ -z "$is_own" ] && command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then
        systemctl start haproxy
    else
        haproxy -W -D -f "$path" -p "$pid_file" 9>&-
    fi
}

exec 9>"$pid_file.balbook-lock" || exit 1
flock -w "$within_s" 9 || { say "another change of this balancer is going on"; exit 29; }
rm -f "$new"
cat >"$new" || exit 1
if [ "$(sha256sum "$new" | cut -c 1-64)" != "$sha256" ]; then
    rm -f "$new"
    say "the configuration arrived damaged; nothing was changed"
    exit 26
fi
if [ -e "$path" ]; then
    case $(head -n 1 "$path") in
    "$marker" | "$marker;"*) ;;
    *)
        if ! is_untouched "$path"; then
            rm -f "$new"
            say "$path is not balbook's: its first line is not '$marker; …'; nothing was changed"
            exit 20
        fi
        ;;
    esac
fi
master=$(master)
if [ -n "$master" ] && [ -e "$path" ] && cmp -s "$path" "$new" && [ "$(served)" = "$generation" ]; then
    rm -f "$new"
    echo "generation $generation is in force already"
    exit 0
fi
[ -s "$state_file" ] || echo 1 >"$state_file" # an empty state file has its version in it
if ! message=$(haproxy -c -f "$new" 2>&1); then
    rm -f "$new"
    say "haproxy refuses the configuration; nothing was changed:"
    say "$message"
    exit 21
fi
had_previous=
if [ -e "$path" ]; then
    cp -p "$path" "$previous" || exit 1
    had_previous=yes
fi
mv -f "$new" "$path" || exit 1
if [ -n "$master" ]; then
    # What is drained, and what failed its checks, stays so across the reload.
    ask 'show servers state' >"$state_file.new" 2>/dev/null && mv -f "$state_file.new" "$state_file"
    kill -USR2 "$master" || exit 1
else
    echo 1 >"$state_file"
    if ! message=$(launch 2>&1); then
        restore
        say "haproxy does not start; the previous file is back:"
        say "$message"
        exit 23
    fi
fi
start_ms=$(now_ms)
while [ "$(served)" != "$generation" ]; do
    if [ $(($(now_ms) - start_ms)) -ge $((within_s * 1000)) ]; then
        now=$(served)
        restore
        # A master whose reload failed only waits: the previous file makes it whole again.
        master=$(master)
        [ -n "$master" ] && [ -n "$had_previous" ] && kill -USR2 "$master"
        say "generation '$now' is served, not $generation, after $within_s s (a port in use?); the previous file is back"
        exit 23
    fi
    sleep 0.05
done
# A later start goes by its file alone: what was so at this reload may be long past then.
echo 1 >"$state_file"
echo "generation $generation is in force"

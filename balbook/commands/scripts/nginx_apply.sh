# Puts one configuration file in force: stdin is its content. Exit statuses: see balbook/commands/nginx.py.
path=$1 marker=$2 sha256=$3 generation=$4 main=$5 prefix=$6 pid_file=$7 error_log=$8 url=$9
shift 9
host=$1 old_within_s=$2 reload_within_s=$3
new=$path.balbook-new
previous=$path.balbook-previous
LC_ALL=C
export LC_ALL
umask 022

nginx_test() {
    if [ -n "$main" ]; then
        nginx -t -q -p "$prefix" -c "$main" -e "$error_log"
    else
        nginx -t -q
    fi
}

served() { curl --silent --max-time 2 --noproxy '*' --header "Host: $host" "$url" 2>/dev/null; }

restore() {
    if [ -n "$had_previous" ]; then
        cp -p "$previous" "$new" && mv -f "$new" "$path"
    else
        rm -f "$path"
    fi
}

# One change at a time: other applications' files belong to the same master.
exec 9>"$pid_file.balbook-lock" || exit 1
flock -w "$old_within_s" 9 || { say "another change of this balancer is going on"; exit 29; }

rm -f "$new"
cat >"$new" || exit 1
if [ "$(sha256sum "$new" | cut -c 1-64)" != "$sha256" ]; then
    rm -f "$new"
    say "the configuration arrived damaged; nothing was changed"
    exit 26
fi
if [ -e "$path" ] && ! is_ours "$path" "$marker"; then
    rm -f "$new"
    say "$path is not balbook's: its first line is not '$marker; …'; nothing was changed"
    exit 20
fi
master=$(master)
if [ -z "$master" ]; then
    rm -f "$new"
    say "nginx is not running ($pid_file names no process of it); nothing was changed"
    exit 22
fi
start_ms=$(now_ms)
if [ -e "$path" ] && cmp -s "$path" "$new" && [ "$(served)" = "$generation" ]; then
    rm -f "$new"
    # Whoever put it in force may have died before the old workers were gone.
    while [ -n "$(leaving "$master")" ]; do
        if [ $(($(now_ms) - start_ms)) -ge $((old_within_s * 1000)) ]; then
            say "generation $generation is in force, but old workers still finish requests after $old_within_s s"
            exit 24
        fi
        sleep 0.05
    done
    echo "generation $generation is in force already"
    exit 0
fi

had_previous=
if [ -e "$path" ]; then
    cp -p "$path" "$previous" || exit 1
    had_previous=yes
fi
mv -f "$new" "$path" || exit 1
if ! message=$(nginx_test 2>&1); then
    restore
    say "nginx refuses the configuration; the previous one is back and in force:"
    say "$message"
    exit 21
fi

log_size=$(size_of_log)
old=$(children "$master" | tr '\n' ' ')
start_ms=$(now_ms)
if ! reload "$master" "$reload_within_s" $old; then
    restore
    say "the reload failed; the previous configuration is back and was in force all the time:"
    log_problems
    exit 23
fi

# The new workers accept at once, but the first answer may still come from an old one.
while :; do
    now=$(served)
    left=$(remaining "$master" $old | wc -l)
    [ "$now" = "$generation" ] && [ "$left" -eq 0 ] && break
    if [ $(($(now_ms) - start_ms)) -ge $((old_within_s * 1000)) ]; then
        [ "$now" = "$generation" ] && break
        restore
        kill -HUP "$master"
        say "generation '$now' is served, not $generation, though the reload went through; the previous file is back."
        say "Does NGINX include $path?"
        exit 25
    fi
    sleep 0.05
done
if [ "$left" -ne 0 ]; then
    say "generation $generation is in force, but $left old workers still finish requests after $old_within_s s"
    exit 24
fi
echo "generation $generation is in force"

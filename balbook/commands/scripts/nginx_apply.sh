# Puts one configuration file in force: stdin is its content. Exit statuses: see balbook/commands/nginx.py.
path=$1 marker=$2 sha256=$3 generation=$4 main=$5 prefix=$6 pid_file=$7 error_log=$8 url=$9
shift 9
host=$1 old_within_s=$2 reload_within_s=$3

nginx_test() {
    if [ -n "$main" ]; then
        nginx -t -q -p "$prefix" -c "$main" -e "$error_log"
    else
        nginx -t -q
    fi
}

lock "$old_within_s" # other applications' files belong to the same master
receive "$path" "$sha256"
[ ! -e "$path" ] || is_ours "$path" "$marker" || refuse_foreign "$path" "$marker"
master=$(master)
[ -n "$master" ] || refuse 22 "nginx is not running ($pid_file names no process of nginx); nothing was changed"
allow "$old_within_s"
if cmp -s "$path" "$new" && [ "$(served)" = "$generation" ]; then
    rm -f "$new"
    # An earlier run may have put the file in force and died before the old workers were gone.
    while [ -n "$(leaving "$master")" ]; do
        ! is_over || refuse 24 "generation $generation is in force, but old workers still finish requests after $old_within_s s"
        sleep 0.05
    done
    echo "generation $generation is in force already"
    exit 0
fi
replace
if ! message=$(nginx_test 2>&1); then
    restore
    refuse 21 "nginx refuses the configuration; the previous one is back and in force:" "$message"
fi
log_size=$(size_of_log)
old=$(children "$master" | tr '\n' ' ')
allow "$old_within_s"
# shellcheck disable=SC2086
if ! reload "$master" "$reload_within_s" $old; then
    restore
    refuse 23 "the reload failed; the previous configuration is back, and it was in force all the time:" "$(log_problems)"
fi

# The new workers accept at once, but the first answer may still come from an old one.
while :; do
    now=$(served)
    # shellcheck disable=SC2086
    left=$(remaining "$master" $old | wc -l)
    [ "$now" = "$generation" ] && [ "$left" -eq 0 ] && break
    if is_over; then
        [ "$now" != "$generation" ] ||
            refuse 24 "generation $generation is in force, but $left old workers still finish requests after $old_within_s s"
        restore
        kill -HUP "$master"
        refuse 25 "generation '$now' is served, not $generation, though the reload went through; the previous file is back." \
            "Does NGINX include $path?"
    fi
    sleep 0.05
done
echo "generation $generation is in force"

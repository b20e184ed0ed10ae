# Functions for every script that reads or changes a balancer. Needs $program and $pid_file.
LC_ALL=C
export LC_ALL
umask 022

say() { printf '%s\n' "$*" >&2; }

# Ends the script with the status $1, the reason $2 and, where there are any, the words $3 of the program. A draft is removed.
refuse() {
    [ -z "${new:-}" ] || rm -f "$new"
    printf '%s\n' "$2" ${3:+"$3"} >&2
    exit "$1"
}

# The PID of the running master, or nothing.
master() {
    [ -s "$pid_file" ] || return 0
    read -r pid _ <"$pid_file"
    case $pid in '' | *[!0-9]*) return 0 ;; esac
    [ "$(sed 's/^[^(]*(\(.*\)).*/\1/' "/proc/$pid/stat" 2>/dev/null)" = "$program" ] && printf '%s\n' "$pid"
    return 0
}

# The generation that is served at $url, under the Host $host where that is set.
served() { curl --silent --max-time 2 --noproxy '*' ${host:+--header "Host: $host"} "$url" 2>/dev/null; }

digest() { sha256sum "$1" 2>/dev/null | cut -c 1-64; }

# True where the first line of the file $1 begins with balbook's marker $2.
is_ours() { case $(head -n 1 "$1" 2>/dev/null) in "$2" | "$2;"*) return 0 ;; *) return 1 ;; esac; }

refuse_foreign() { refuse 20 "$1 is not balbook's: its first line is not '$2; …'; nothing was changed"; }

# Milliseconds on a clock that nobody sets.
now_ms() { read -r up _ </proc/uptime; printf '%s0\n' "$up" | tr -d .; }

# `is_over` is true once $1 seconds have passed since this call.
allow() { end_ms=$(($(now_ms) + $1 * 1000)); }
is_over() { [ "$(now_ms)" -ge "$end_ms" ]; }

# Lets one script at a time change this balancer; waits for $1 seconds at most.
lock() {
    exec 9>"$pid_file.balbook-lock" || exit 1
    flock -w "$1" 9 || refuse 29 "another run is changing this balancer"
}

# Standard input becomes the draft $new of the file $1, if its sha256 is $2.
receive() {
    new=$1.balbook-new
    rm -f "$new"
    cat >"$new" || exit 1
    [ "$(digest "$new")" = "$2" ] || refuse 26 "the configuration arrived damaged; nothing was changed"
}

# The draft takes the place of $path; `restore` puts the previous file back.
replace() {
    had_previous=
    if [ -e "$path" ]; then
        cp -p "$path" "$path.balbook-previous" || exit 1
        had_previous=yes
    fi
    mv -f "$new" "$path" || exit 1
}

restore() {
    if [ -n "$had_previous" ]; then
        cp -p "$path.balbook-previous" "$new" && mv -f "$new" "$path"
    else
        rm -f "$path"
    fi
}

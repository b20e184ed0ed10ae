# What the scripts for NGINX share. Needs $pid_file and $error_log.

say() { printf '%s\n' "$*" >&2; }

# The PID of the running master, or nothing.
master() {
    [ -s "$pid_file" ] || return 0
    pid=$(cat "$pid_file")
    case $pid in '' | *[!0-9]*) return 0 ;; esac
    [ "$(sed 's/^[^(]*(\(.*\)).*/\1/' "/proc/$pid/stat" 2>/dev/null)" = nginx ] && printf '%s\n' "$pid"
    return 0
}

# The PIDs of a process's children, one a line; from /proc, since procps is not on every host.
children() {
    if [ -r "/proc/$1/task/$1/children" ]; then
        tr ' ' '\n' <"/proc/$1/task/$1/children" | sed '/^$/d'
    else
        for stat in /proc/[0-9]*/stat; do
            sed -n "s/^\([0-9]*\) (.*) [A-Za-z] $1 .*/\1/p" "$stat" 2>/dev/null
        done
    fi
}

# Those of the PIDs $2… that are still children of $1 (a number that another process got since does not count).
remaining() {
    parent=$1
    shift
    for child in $(children "$parent"); do
        for old in "$@"; do
            [ "$child" = "$old" ] && printf '%s\n' "$child"
        done
    done
    return 0
}

# The workers of $1 that finish what they have in hand. Right after a reload none bears that title yet.
leaving() {
    for child in $(children "$1"); do
        case $(tr '\0' ' ' 2>/dev/null <"/proc/$child/cmdline") in *'is shutting down'*) printf '%s\n' "$child" ;; esac
    done
    return 0
}

# Whether the first line of the file $1 begins with balbook's marker $2.
is_ours() { case $(head -n 1 "$1") in "$2" | "$2;"*) return 0 ;; *) return 1 ;; esac; }

# Milliseconds on a clock that nobody sets.
now_ms() { read -r up _ </proc/uptime; printf '%s0\n' "$up" | tr -d .; }

size_of_log() { if [ -r "$error_log" ]; then wc -c <"$error_log"; else echo 0; fi; }

# What was logged since $log_size was taken; from the start where the log was rotated meanwhile.
logged_since() {
    [ "$(size_of_log)" -ge "$log_size" ] || log_size=0
    tail -c "+$((log_size + 1))" "$error_log" 2>/dev/null
}

log_problems() { logged_since | grep -e '\[emerg\]' -e '\[alert\]' -e '\[crit\]' | tail -n 5 >&2; }

# Reloads the master $1 and waits at most $2 seconds for a worker that is none of the PIDs $3…; fails where none appears.
# `nginx -t` does not see a port in use, and `nginx -s reload` exits 0 where the reload fails: what counts is that the
# master has new workers. The old ones are known by their PIDs; their titles change too late to go by.
reload() {
    reloaded=$1
    reload_end_ms=$(($(now_ms) + $2 * 1000))
    shift 2
    kill -HUP "$reloaded" || return 1
    while [ "$(now_ms)" -lt "$reload_end_ms" ]; do
        for child in $(children "$reloaded"); do
            case " $* " in *" $child "*) ;; *) return 0 ;; esac
        done
        # bind() is tried several times; "still could not bind()" is the end of it.
        logged_since | grep -q -e '\[emerg\].*still could not' -e '\[alert\]' && return 1
        sleep 0.05
    done
    return 1
}

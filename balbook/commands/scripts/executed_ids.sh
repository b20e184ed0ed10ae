# executed_ids PREFIX LOG…: every id with this prefix that the logs name as executed, with how often. Changes nothing.
set -u
prefix=$1
shift
cat -- "$@" 2>/dev/null | grep -o "executed POST [^ ]* id=$prefix-[0-9]*" | sed 's/.*id=//' | sort | uniq -c
exit 0

# systemd_has_unit UNIT-FILE SHA256 LAUNCHER SHA256: exit 0 where both files are these, and systemd has read the unit. Changes nothing.
set -eu
[ "$(sha256sum < "$1" 2>/dev/null | cut -c 1-64)" = "$2" ] || { echo "$1 has another content"; exit 1; }
[ "$(sha256sum < "$3" 2>/dev/null | cut -c 1-64)" = "$4" ] || { echo "$3 has another content"; exit 1; }
[ "$(systemctl show --property=NeedDaemonReload --value "$(basename "$1" @.service)@1.service")" = no ]

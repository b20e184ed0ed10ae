# sha256 FILE: prints its sha256. openssl, where there is one, uses what the processor has for it: a fifth of the time.
sha256() {
  { openssl dgst -sha256 -r < "$1" 2>/dev/null || sha256sum < "$1"; } | cut -c 1-64
}

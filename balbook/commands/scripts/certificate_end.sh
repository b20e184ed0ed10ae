# certificate_end FILE: `ends` and when the certificate in it ends, as openssl says it; else `problem` and the reason. Changes nothing.
if ! command -v openssl >/dev/null 2>&1; then
  echo "problem the host has no openssl"
elif text=$(openssl x509 -enddate -noout -in "$1" 2>&1); then
  echo "ends ${text#notAfter=}"
elif [ -r "$1" ]; then
  echo "problem the file is not a certificate in PEM"
else
  echo "problem the file does not exist or cannot be read"
fi

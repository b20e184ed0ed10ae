# install_distribution ARCHIVE VERSION SHA256 DIRECTORY BIN: a zip of the distribution below DIRECTORY, `bal` linked at BIN.
set -eu
archive=$1 version=$2 sha256=$3 directory=$4 bin=$5
found=$(sha256sum < "$archive")
found=${found%% *}
if [ "$found" != "$sha256" ]; then
  rm -f "$archive"
  echo "sha256 is $found, expected $sha256; the file was removed" >&2
  exit 65
fi
new="$directory/.$version.new"
rm -rf "$new"
mkdir -p "$new" "$(dirname "$bin")"
if command -v unzip >/dev/null 2>&1; then
  unzip -q "$archive" -d "$new"
elif command -v python3 >/dev/null 2>&1; then
  python3 -m zipfile -e "$archive" "$new"
else
  (cd "$new" && jar -xf "$archive")
fi
top=$(find "$new" -mindepth 1 -maxdepth 1 -type d | head -n 1)
[ -n "$top" ] && [ -f "$top/bin/bal" ] || { echo "the archive holds no bin/bal" >&2; exit 1; }
chmod -R u+w "$top"
find "$top" -name '*.sh' -exec chmod a+x {} +
chmod a+x "$top"/bin/*
rm -rf "${directory:?}/$version"
mv "$top" "$directory/$version"
rm -rf "$new" "$archive"
ln -s "$directory/$version/bin/bal" "$bin.new.$$"
mv -Tf "$bin.new.$$" "$bin" 2>/dev/null || mv -fh "$bin.new.$$" "$bin"

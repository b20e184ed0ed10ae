# unpack ARCHIVE DIRECTORY SHA256 KEEP…: the tar archive becomes DIRECTORY, with the old one's KEEP in it; remembers the archive.
set -eu
archive=$1 directory=$2 sha256=$3
shift 3
new="$directory.new"
rm -rf "$new"
mkdir -p "$new"
tar -xf "$archive" -C "$new" --no-same-owner
for name in "$@"; do
  [ ! -e "$directory/$name" ] || [ -e "$new/$name" ] || cp -R "$directory/$name" "$new/$name"
done
printf '%s\n' "$sha256" > "$new/.balbook-source"
rm -rf "$directory.old"
[ ! -e "$directory" ] || mv "$directory" "$directory.old"
mv "$new" "$directory"
rm -rf "$directory.old" "$archive"

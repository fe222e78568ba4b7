#!/bin/sh
# restore_command of a recovery from the archive: fetch-wal.sh FOLDER %f %p
# A segment is compressed, complete, or the one that was being received when nothing came any more.
# PostgreSQL asks for what may not be there (the next segment, a history file) and takes 1 for an answer.
folder=$1 name=$2 to=$3
if [ -f "$folder/$name.gz" ]; then
  exec gzip --decompress --stdout "$folder/$name.gz" > "$to"
fi
for found in "$folder/$name" "$folder/$name.partial"; do
  if [ -f "$found" ]; then exec cp "$found" "$to"; fi
done
exit 1

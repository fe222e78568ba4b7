#!/bin/sh
# restore_command of a recovery from the archive: fetch-wal.sh FOLDER %f %p [ARCHIVE]
# A segment is compressed, complete, or the one that was being received when nothing came any more.
# PostgreSQL asks for what may not be there (the next segment, a history file) and takes 1 for an answer.
# With ARCHIVE, the folder of all stretches, the histories of every timeline there ever was are found: PostgreSQL gives a new one
# a number that none of them has.
folder=$1 name=$2 to=$3 archive=$4
compressed() { [ -f "$folder/$name.gz" ] && gzip --decompress --stdout "$folder/$name.gz" > "$to"; }
compressed && exit 0
for found in "$folder/$name" "$folder/$name.partial"; do
  [ -f "$found" ] && cp "$found" "$to" && exit 0
done
case $name in
  *.history)
    for found in ${archive:+"$archive"/*/"$name"}; do
      [ -f "$found" ] && cp "$found" "$to" && exit 0
    done
    exit 1
    ;;
esac
# It may have been compressed, or completed, at this moment.
compressed || { [ -f "$folder/$name" ] && cp "$folder/$name" "$to"; }

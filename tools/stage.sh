#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# stage.sh STAMP FOLDER FILE... [-d BELOW FILE...]
# Makes FOLDER anew out of the files, those after `-d BELOW` in FOLDER/BELOW; a folder among them stands for its *.md.
set -eu
stamp=$1
folder=$2
shift 2
rm -rf "$folder"
mkdir -p "$folder"
to=$folder
while [ $# -gt 0 ]; do
        if [ "$1" = -d ]; then
                to=$folder/$2
                mkdir -p "$to"
                shift
        elif [ -d "$1" ]; then
                find "$1" -maxdepth 1 -name '*.md' -exec cp {} "$to/" \;
        else
                cp "$1" "$to/"
        fi
        shift
done
: >"$stamp"

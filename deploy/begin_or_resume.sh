#!/usr/bin/env bash
# Begins a study, or continues it if its folder holds one, so that the same command can be run
# again after whatever ended it.
#
#   SEARCH=pgn_cifar RESULTS=/shared/results deploy/begin_or_resume.sh [OPTION ...]
#
# STUDY is the name of the folder of the study, if it is not that of the search (as in
# SEARCH-ablation). PROGRAM is the program, by default `tune-ad`.
set -euo pipefail

: "${SEARCH:?name a search, as in SEARCH=pgn_cifar}"
: "${RESULTS:?name the folder of the studies, as in RESULTS=/shared/results}"
begin=()
if [ -e "$RESULTS/${STUDY:-$SEARCH}/study.json" ]; then
    begin=(--resume)
fi
exec "${PROGRAM:-tune-ad}" --search "$SEARCH" --results "$RESULTS" "${begin[@]}" "$@"

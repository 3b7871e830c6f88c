#!/usr/bin/env bash
# The jars that Spark needs beyond its own, in .jars/, each checked against scripts/jars.lock.
#
#   scripts/jars.sh           fetch what is missing or damaged, remove what is not in the lock
#   scripts/jars.sh --check   only check; says nothing and ends with 0 when every jar is in order
#   scripts/jars.sh --lock    resolve anew and write scripts/jars.lock (after a change of version in pyproject.toml)
#
# Fetching is left to Ivy, which comes with Spark, with its default resolvers and a home of its own: no build
# tool has to be there, and nobody's local repository is read or written. Where a mirror has to be used,
# FRESHET_IVY_SETTINGS names an Ivy settings file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lock=scripts/jars.lock
folder=.jars
# Resolved with all they depend on; of that, these groups are kept: everything else Spark has already.
roots="io.delta:delta-spark_%SPARK_2.13:%DELTA"
kept_groups="io.delta io.unitycatalog"

fail() {
    echo "freshet: $*" >&2
    exit 1
}

sha256() { # of one file
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

locked() { # "checksum jar coordinate" per line
    grep -v -e '^#' -e '^[[:space:]]*$' "$lock"
}

bad_jars() { # names of jars that are missing or not what the lock says
    local sum jar _
    while read -r sum jar _; do
        if [ ! -f "$folder/$jar" ] || [ "$(sha256 "$folder/$jar")" != "$sum" ]; then echo "$jar"; fi
    done < <(locked)
}

unknown_jars() { # sessions load the whole folder, so nothing else may lie in it
    local path
    for path in "$folder"/*.jar; do
        if [ -f "$path" ] && ! locked | grep -q -F " ${path##*/} "; then echo "$path"; fi
    done
}

spark_jars() {
    local path
    for path in .venv/lib/python3*/site-packages/pyspark/jars; do
        if [ -d "$path" ]; then echo "$path" && return; fi
    done
    fail "the jars are fetched with Spark's own Ivy, and Spark is not installed yet: run scripts/setup.sh"
}

ivy() { # arguments for Ivy; its output goes to $work/ivy.log
    local java="java" spark settings=()
    spark=$(spark_jars)
    if [ -n "${JAVA_HOME:-}" ]; then java="$JAVA_HOME/bin/java"; fi
    if [ -n "${FRESHET_IVY_SETTINGS:-}" ]; then settings=(-settings "$FRESHET_IVY_SETTINGS"); fi
    "$java" -Divy.home="$work/ivy" -Duser.home="$work" -cp "$spark/*" org.apache.ivy.Main \
        -m2compatible ${settings[@]+"${settings[@]}"} "$@" >"$work/ivy.log" 2>&1 || {
        tail -n 25 "$work/ivy.log" >&2
        fail "the jars could not be fetched (Ivy's last lines are above); is there a network?"
    }
}

fetch() { # names of jars
    local sum jar coordinate group artifact version found path
    {
        echo '<ivy-module version="2.0"><info organisation="freshet" module="jars"/><dependencies>'
        for path in "$@"; do
            coordinate=$(locked | grep -F " $path " | awk '{print $3}')
            IFS=: read -r group artifact version <<<"$coordinate"
            echo "<dependency org=\"$group\" name=\"$artifact\" rev=\"$version\" transitive=\"false\" conf=\"*->master\"/>"
        done
        echo '</dependencies></ivy-module>'
    } >"$work/ivy.xml"
    ivy -ivy "$work/ivy.xml" -types jar bundle -retrieve "$work/jars/[artifact]-[revision].[ext]"

    for path in "$@"; do
        read -r sum jar coordinate < <(locked | grep -F " $path ")
        [ -f "$work/jars/$jar" ] || fail "$coordinate was resolved, but brought no $jar"
        found=$(sha256 "$work/jars/$jar")
        [ "$found" = "$sum" ] || fail "wrong checksum for $jar: got $found, $lock says $sum"
    done
    mkdir -p "$folder"
    for path in "$@"; do # first a name that no session loads, then a rename: a jar is there whole or not at all
        cp "$work/jars/$path" "$folder/$path.part"
        mv -f "$folder/$path.part" "$folder/$path"
    done
}

write_lock() {
    local root group artifact version delta spark path relative
    delta=$(sed -n 's/.*"delta-spark==\([^"]*\)".*/\1/p' pyproject.toml)
    spark=$(sed -n 's/.*"pyspark==\([0-9]*\.[0-9]*\)\..*/\1/p' pyproject.toml)
    {
        echo '<ivy-module version="2.0"><info organisation="freshet" module="jars"/><dependencies>'
        for root in $roots; do
            root=${root//%SPARK/$spark}
            IFS=: read -r group artifact version <<<"${root//%DELTA/$delta}"
            echo "<dependency org=\"$group\" name=\"$artifact\" rev=\"$version\" conf=\"*->default\"/>"
        done
        echo '</dependencies></ivy-module>'
    } >"$work/ivy.xml"
    ivy -ivy "$work/ivy.xml" -types jar bundle \
        -retrieve "$work/all/[organisation]/[artifact]/[revision]/[artifact]-[revision].[ext]"
    {
        echo "# Jars beyond Spark's own: checksum, file, coordinate. Written by scripts/jars.sh --lock; do not edit."
        for group in $kept_groups; do
            for path in "$work/all/$group"/*/*/*.jar; do
                relative=${path#"$work/all/"}
                IFS=/ read -r group artifact version _ <<<"$relative"
                echo "$(sha256 "$path")  ${path##*/}  $group:$artifact:$version"
            done
        done
    } >"$work/jars.lock"
    cat "$work/jars.lock" >"$lock"
    echo "$lock: $(locked | wc -l | tr -d ' ') jars"
}

[ "$#" -le 1 ] || fail "usage: scripts/jars.sh [--check | --lock]"
case "${1:-}" in
--check)
    [ -z "$(bad_jars)" ] && [ -z "$(unknown_jars)" ]
    ;;
--lock | "")
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if [ "${1:-}" = --lock ]; then
        write_lock
        exit
    fi
    wanted=()
    while read -r name; do
        if [ -f "$folder/$name" ]; then echo "freshet: $name is not what $lock says"; fi
        wanted+=("$name")
    done < <(bad_jars)
    if [ "${#wanted[@]}" -gt 0 ]; then
        echo "freshet: fetching jars (${#wanted[@]} of $(locked | wc -l | tr -d ' ')) ..."
        fetch "${wanted[@]}"
        echo "freshet: jars are ready ($SECONDS s)"
    fi
    unknown_jars | while read -r path; do rm -f "$path"; done
    ;;
*)
    fail "usage: scripts/jars.sh [--check | --lock]"
    ;;
esac

# Fetches the jars of a lock file into a folder with the Ivy that comes with Spark. Sourced by jars.sh and kafka.sh, which
# set
#   lock     the file with a line "checksum jar coordinate" for every jar
#   folder   the folder of the jars
#   maker    the command that writes the lock, for its header
#   about    what the jars are, for its header
#
# Ivy runs with its default resolvers and its own home: no build tool is needed, and no local repository of the user is
# read or written. To use a mirror, set FRESHET_IVY_SETTINGS to an Ivy settings file.
# shellcheck shell=bash disable=SC2154

fail() {
    echo "freshet: $*" >&2
    exit 1
}

sha256() { # of one file
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

java_command() { # the Java that Spark would start
    if [ -n "${JAVA_HOME:-}" ]; then echo "$JAVA_HOME/bin/java"; else echo java; fi
}

locked() { # "checksum jar coordinate" per line
    grep -v -e '^#' -e '^[[:space:]]*$' "$lock"
}

bad_jars() { # names of jars that are missing or differ from the lock
    local sum jar _
    while read -r sum jar _; do
        if [ ! -f "$folder/$jar" ] || [ "$(sha256 "$folder/$jar")" != "$sum" ]; then echo "$jar"; fi
    done < <(locked)
}

unknown_jars() { # all jars in the folder are loaded, so it must not contain others
    local path
    for path in "$folder"/*.jar; do
        # Directly from the file: in a pipe, grep -q ends at its match and kills the writer, which fails under pipefail.
        if [ -f "$path" ] && ! grep -q -F " ${path##*/} " "$lock"; then echo "$path"; fi
    done
}

jars_are_ready() { [ -z "$(bad_jars)" ] && [ -z "$(unknown_jars)" ]; }

_spark_jars() {
    local path
    for path in .venv/lib/python3*/site-packages/pyspark/jars; do
        if [ -d "$path" ]; then echo "$path" && return; fi
    done
    fail "the jars are fetched with Spark's own Ivy, and Spark is not installed yet: run scripts/setup.sh"
}

_ivy() { # arguments for Ivy; its output goes to $work/ivy.log
    local spark settings=()
    spark=$(_spark_jars)
    if [ -n "${FRESHET_IVY_SETTINGS:-}" ]; then settings=(-settings "$FRESHET_IVY_SETTINGS"); fi
    "$(java_command)" -Divy.home="$work/ivy" -Duser.home="$work" -cp "$spark/*" org.apache.ivy.Main \
        -m2compatible ${settings[@]+"${settings[@]}"} "$@" >"$work/ivy.log" 2>&1 || {
        tail -n 25 "$work/ivy.log" >&2
        fail "the jars could not be fetched (Ivy's last lines are above); is there a network?"
    }
}

_ivy_file() { # attributes of a dependency, then coordinates; prints the file that lists for Ivy what to resolve
    local attributes=$1 coordinate group artifact version
    shift
    echo '<ivy-module version="2.0"><info organisation="freshet" module="jars"/><dependencies>'
    for coordinate in "$@"; do
        IFS=: read -r group artifact version <<<"$coordinate"
        echo "<dependency org=\"$group\" name=\"$artifact\" rev=\"$version\" $attributes/>"
    done
    echo '</dependencies></ivy-module>'
}

_fetch() { # names of jars
    local sum jar coordinate found name coordinates=()
    for name in "$@"; do coordinates+=("$(locked | grep -F " $name " | awk '{print $3}')"); done
    _ivy_file 'transitive="false" conf="*->master"' "${coordinates[@]}" >"$work/ivy.xml"
    _ivy -ivy "$work/ivy.xml" -types jar bundle -retrieve "$work/jars/[artifact]-[revision].[ext]"

    for name in "$@"; do
        read -r sum jar coordinate < <(locked | grep -F " $name ")
        [ -f "$work/jars/$jar" ] || fail "$coordinate was resolved, but brought no $jar"
        found=$(sha256 "$work/jars/$jar")
        [ "$found" = "$sum" ] || fail "wrong checksum for $jar: got $found, $lock says $sum"
    done
    mkdir -p "$folder"
    for name in "$@"; do # copied under a name that nothing loads, then renamed, so that jars are never incomplete
        cp "$work/jars/$name" "$folder/$name.part"
        mv -f "$folder/$name.part" "$folder/$name"
    done
}

_work_folder() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
}

fetch_jars() { # fetches missing and damaged jars, removes those that are not in the lock
    local name path wanted=() started=$SECONDS
    while read -r name; do
        if [ -f "$folder/$name" ]; then echo "freshet: $name is not what $lock says" >&2; fi
        wanted+=("$name")
    done < <(bad_jars)
    if [ "${#wanted[@]}" -gt 0 ]; then
        echo "freshet: fetching jars (${#wanted[@]} of $(locked | wc -l | tr -d ' ')) ..." >&2
        _work_folder
        _fetch "${wanted[@]}"
        echo "freshet: jars are ready ($((SECONDS - started)) s)" >&2
    fi
    unknown_jars | while read -r path; do rm -f "$path"; done
}

write_lock() { # patterns "group:artifact" to keep, "--", coordinates to resolve with all their dependencies
    local kept=() path group artifact version pattern
    while [ "$1" != -- ]; do kept+=("$1") && shift; done
    shift
    _work_folder
    _ivy_file 'conf="*->default"' "$@" >"$work/ivy.xml"
    _ivy -ivy "$work/ivy.xml" -types jar bundle \
        -retrieve "$work/all/[organisation]/[artifact]/[revision]/[artifact]-[revision].[ext]"
    {
        echo "# $about: checksum, file, coordinate. Written by $maker; do not edit."
        for path in "$work/all"/*/*/*/*.jar; do
            IFS=/ read -r group artifact version _ <<<"${path#"$work/all/"}"
            for pattern in "${kept[@]}"; do
                # shellcheck disable=SC2053 # a pattern is meant
                [[ $group:$artifact == $pattern ]] || continue
                echo "$(sha256 "$path")  ${path##*/}  $group:$artifact:$version"
                break
            done
        done
    } >"$work/new.lock"
    cat "$work/new.lock" >"$lock"
    echo "$lock: $(locked | wc -l | tr -d ' ') jars"
}

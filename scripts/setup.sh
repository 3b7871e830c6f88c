#!/usr/bin/env bash
# Sets up everything Freshet needs, inside this folder: Python packages in .venv, jars in .jars.
# Can be repeated: with nothing to do it takes a moment, and it repairs what an interrupted call left.
# Afterwards nothing needs the network.
#
# PYTHON is the interpreter to use (3.11 or newer), JAVA_HOME the Java (17 or newer), by default the one on PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$(pwd -P)

venv=.venv
stamp=$venv/.freshet-stamp           # hash of the files that determine the installed packages
unfinished=$venv/.freshet-unfinished # exists while packages are being installed
good_java=$venv/.freshet-java        # the Java that was checked successfully
log=$venv/setup.log
min_python="3, 11"
min_java=17

say() { echo "freshet: $*"; }

fail() { # one line, or one line and the command that helps
    echo "freshet: $1" >&2
    shift
    if [ "$#" -gt 0 ]; then printf '    %s\n' "$@" >&2; fi
    exit 1
}

sha256() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

# --- Java -----------------------------------------------------------------------------------------------------

java_command() { # the Java that Spark will start
    if [ -n "${JAVA_HOME:-}" ]; then echo "$JAVA_HOME/bin/java"; else command -v java || true; fi
}

java_version() { # of the given command: "17", or nothing; Java 8 calls itself "1.8"
    [ -n "$1" ] || return 0
    "$1" -version 2>&1 | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1 || true
}

java_identity() { # with the target of links, as a link on PATH may later point to another version
    local command
    command=$(java_command)
    echo "$command $(readlink -f "$command" 2>/dev/null || true)"
}

java_is_known() { # asking Java for its version is the slowest part of a set-up with nothing to do
    [ -x "$(java_command)" ] && [ "$(cat "$good_java" 2>/dev/null)" = "$(java_identity)" ]
}

java_is_good() { [ -n "$1" ] && [ "$1" -ge "$min_java" ]; }

check_java() {
    local command version problem
    command=$(java_command)
    version=$(java_version "$command")
    if java_is_good "$version"; then return; fi

    # JAVA_HOME is the user's choice, and Spark too prefers it to PATH: installing another Java would not help.
    if [ -z "${JAVA_HOME:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing Java $min_java with apt-get ..."
        install_java_with_apt
        command=$(java_command)
        version=$(java_version "$command")
        if java_is_good "$version"; then return; fi
    fi

    if [ -n "${JAVA_HOME:-}" ]; then
        problem="JAVA_HOME ($JAVA_HOME) holds ${version:+Java }${version:-no working Java}"
    elif [ -n "$version" ]; then
        problem="the one on PATH is Java $version"
    else
        problem="none was found on PATH, and JAVA_HOME is not set"
    fi
    fail "Java $min_java or newer is needed; $problem. To install it:" \
        "Debian, Ubuntu   sudo apt-get update && sudo apt-get install -y openjdk-17-jre-headless" \
        "Fedora           sudo dnf install -y java-21-openjdk-headless" \
        "macOS            brew install openjdk@17 && export JAVA_HOME=\"\$(brew --prefix openjdk@17)/libexec/openjdk.jdk/Contents/Home\""
}

install_java_with_apt() {
    local out package
    out=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    apt-get update >"$out" 2>&1 || true # an outdated list may be sufficient
    # Newer releases have only 21. An installed Java that is not on PATH is left unchanged: programs may be using it.
    for package in openjdk-17-jre-headless openjdk-21-jre-headless; do
        if apt-get install -y --no-upgrade "$package" >>"$out" 2>&1; then rm -f "$out" && return; fi
    done
    tail -n 15 "$out" >&2
    rm -f "$out"
}

# --- Python ---------------------------------------------------------------------------------------------------

find_python() {
    local candidate found="" candidates="python3.11 python3.12 python3.13 python3"
    # 3.11 first: all figures in the documentation were measured with it.
    if [ -n "${PYTHON:-}" ]; then candidates=$PYTHON; fi
    for candidate in $candidates; do
        # A name on PATH may be a launcher for a version that is not installed, so each one is tried.
        if "$candidate" -c "import sys; sys.exit(sys.version_info < ($min_python))" >/dev/null 2>&1; then
            found=$candidate
            if "$candidate" -c "import ensurepip, venv" >/dev/null 2>&1; then
                echo "$candidate"
                return
            fi
        fi
    done
    if [ -n "$found" ]; then
        fail "$found cannot create virtual environments; on Debian and Ubuntu:" \
            "sudo apt-get install -y $(basename "$found")-venv"
    fi
    fail "Python 3.11 or newer is needed, and $candidates ${PYTHON:+(from PYTHON) }is not it. To install it:" \
        "Debian, Ubuntu   sudo apt-get update && sudo apt-get install -y python3 python3-venv" \
        "Fedora           sudo dnf install -y python3" \
        "macOS            brew install python@3.12"
}

wanted_stamp() { # hash of the files that determine the packages
    cat freshet.lock pyproject.toml | sha256
}

venv_runs() {
    "$venv/bin/python" -c "import sys; sys.exit(sys.version_info < ($min_python))" >/dev/null 2>&1
}

packages_are_found() {
    "$venv/bin/python" -c "import freshet, importlib.util as u; u.find_spec('pyspark').name" >/dev/null 2>&1
}

venv_is_here() { # and was not moved or copied: its scripts contain the path that they were made for
    grep -q -F "$root/$venv" "$venv/bin/activate" 2>/dev/null
}

packages_are_ready() {
    [ ! -e "$unfinished" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(wanted_stamp)" ] && venv_is_here && packages_are_found
}

locked_only() { # the part of freshet.lock that pins the given packages
    awk -v names=" $* " '/^[A-Za-z0-9]/ { split($0, part, "=="); keep = index(names, " " part[1] " ") } keep' freshet.lock
}

pip_install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --no-compile --no-build-isolation "$@" >>"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        fail "the Python packages could not be installed; pip's last lines are above, all of them in $log"
    }
}

install_packages() {
    local python started=$SECONDS
    if [ -e "$unfinished" ] || ! venv_runs || ! venv_is_here; then
        python=$(find_python)
        if [ -d "$venv" ]; then say "$venv is unfinished, broken or from another folder, and is created again"; fi
        rm -rf "$venv"
        mkdir "$venv"
        touch "$unfinished"
        "$python" -m venv "$venv" >"$log" 2>&1 || {
            tail -n 20 "$log" >&2
            fail "$python could not create a virtual environment in $venv"
        }
    fi
    say "installing $(grep -c '^[A-Za-z0-9].*==' freshet.lock) Python packages; the first time this takes a few minutes ..."
    touch "$unfinished"
    rm -f "$stamp"
    : >"$log"
    export PYTHONNOUSERSITE=1
    unset PYTHONPATH PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV
    # First the build tools, then the packages, then Freshet as a link to this folder.
    locked_only pip setuptools >"$venv/build.lock"
    pip_install --require-hashes -r "$venv/build.lock"
    pip_install --require-hashes -r freshet.lock
    pip_install --no-index --no-deps --editable .
    # Compiled here on all cores rather than by pip on one; otherwise the first start of everything would be slow, and
    # every start if PYTHONDONTWRITEBYTECODE is set. Files for other versions of Python may fail to compile.
    "$venv/bin/python" -m compileall -q -j 0 -x '/(tests?|examples)/' "$venv/lib" >>"$log" 2>&1 || true
    wanted_stamp >"$stamp"
    rm -f "$unfinished"
    say "Python packages are ready ($((SECONDS - started)) s)"
    if ! "$venv/bin/python" -c 'import lightgbm' 2>/dev/null; then
        say "LightGBM cannot be loaded, so recommenders are trained without a ranker. It needs OpenMP's library:"
        say "    Debian, Ubuntu   sudo apt-get install -y libgomp1        macOS   brew install libomp"
    fi
}

# --- classes --------------------------------------------------------------------------------------------------

class_archive=.jars/classes.jsa     # archive of the classes that Spark loads; see lib/freshet/core/class_archive.py
class_stamp=.venv/.freshet-classes  # hash of what it depends on

wanted_class_stamp() { { java_identity && wanted_stamp && cat scripts/jars.lock; } | sha256; }

classes_are_ready() { # the JVM also compares the dates of jars: a jar that was fetched again does not match
    [ -f "$class_archive" ] && [ "$(cat "$class_stamp" 2>/dev/null)" = "$(wanted_class_stamp)" ] &&
        [ -z "$(find .jars -name '*.jar' -newer "$class_archive")" ]
}

archive_classes() {
    local started=$SECONDS
    say "archiving the classes that Spark loads, for faster starts; this takes a minute ..."
    # Everything works without the archive, but starts are slower.
    if "$venv/bin/python" -m freshet.core.class_archive .jars >"$venv/classes.log" 2>&1; then
        wanted_class_stamp >"$class_stamp"
        say "classes are archived ($((SECONDS - started)) s)"
    else
        say "classes could not be archived, so starts are slower; the reason is in $venv/classes.log"
    fi
}

# Two concurrent calls would install into the same folder. mkdir is a lock that every system has.
guard=.setup-running
release() { rm -rf "$guard"; }
one_at_a_time() {
    local notified="" owner
    while ! mkdir "$guard" 2>/dev/null; do
        [ -d "$guard" ] || fail "$root cannot be written to"
        owner=$(cat "$guard/pid" 2>/dev/null || true)
        if [ -z "$owner" ]; then
            sleep 1 # just created, or its owner was killed before it wrote its id
            owner=$(cat "$guard/pid" 2>/dev/null || echo 0)
        fi
        if [ "$owner" = 0 ] || ! kill -0 "$owner" 2>/dev/null; then
            release
            continue
        fi
        [ -n "$notified" ] || say "another set-up is running (process $owner), waiting for it ..."
        notified=yes
        sleep 1
    done
    trap release EXIT
    echo $$ >"$guard/pid"
}

# --- all of it ------------------------------------------------------------------------------------------------

[ "$#" = 0 ] || fail "usage: scripts/setup.sh (no arguments; see the comment at its top)"
java_is_known || check_java
if java_is_known && packages_are_ready && scripts/jars.sh --check && classes_are_ready; then exit; fi

one_at_a_time
if ! packages_are_ready; then install_packages; fi
java_identity >"$good_java"
scripts/jars.sh
classes_are_ready || archive_classes
say "set up: $("$venv/bin/python" --version), Java $(java_version "$(java_command)")"

# Sourced by the scripts beside it, which set $self (their real path) and $extra (what they need).
# Sets $root (absolute) and $python, after setting up .venv if need be; and $hold, which runs a
# program with Ctrl-C held back, or nothing where no program does that. Python answers a Ctrl-C in its
# own start with a traceback; kvnode takes it a moment later, see kvnode/cli/start.py.
# Once .venv is ready this starts no process: every test here is the shell's own.

here=${self%/*}/..
stamp=$here/.venv/ready-$extra

read_stamp() {
    hold=
    # The path of the checkout that it was made for, since a .venv can't be moved; and $hold.
    { IFS= read -r root && { IFS= read -r hold || :; }; } <"$stamp"
}

{
    [ "$stamp" -nt "$here/setup.cfg" ] &&
        read_stamp &&
        [ "$root" -ef "$here" ] &&
        [ -x "$root/.venv/bin/python" ]
} || {
    "${PYTHON:-python3}" "$here/bin/setup" "$extra" &&
        read_stamp
} || exit 69 # EX_UNAVAILABLE: none of the exit codes that kv and pytest give a meaning to.

python=$root/.venv/bin/python

# Sourced by the scripts beside it, which set $self (their real path) and $extra (what they need).
# Sets $root (absolute) and $python, after setting up .venv if need be.
# Once .venv is ready this starts no process: every test here is the shell's own.

here=${self%/*}/..
stamp=$here/.venv/ready-$extra

# The stamp holds the path of the checkout it was made for, since a .venv can't be moved.
{
    [ "$stamp" -nt "$here/setup.cfg" ] &&
        IFS= read -r root <"$stamp" &&
        [ "$root" -ef "$here" ] &&
        [ -x "$root/.venv/bin/python" ]
} || {
    "${PYTHON:-python3}" "$here/bin/setup" "$extra" &&
        IFS= read -r root <"$stamp"
} || exit 69 # EX_UNAVAILABLE: none of the exit codes that kv and pytest give a meaning to.

python=$root/.venv/bin/python

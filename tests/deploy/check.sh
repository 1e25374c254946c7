#!/bin/sh
# What docs/OPERATIONS.md has one do with the unit for systemd, by the lines that stand there; each line of
# /results/done is what came of a step. Run by boot.sh.
exec 2> /results/errors
data=/var/lib/private/kvnode
step() {
    echo "$*" >> /results/done
}
shown() {
    for property; do systemctl show -p "$property" --value kvnode; done | paste -sd ' '
}

typed() {
    EDITOR=true sh -e "/results/$1" > "/results/$1.output" || step "$1: exit code $?"
}

cd /opt/source
typed start
step "started: $(shown ActiveState StatusText)"
kv put k v
process=$(shown MainPID)
step "privileges: $(awk '/^(CapEff|CapBnd|NoNewPrivs|Seccomp):/ { print $2 }' "/proc/$process/status" | paste -sd ' ')"
step "owner: $(stat -c %U $data/node.json)"
kvnode backup monday > /dev/null
cp -r $data/backups/monday /opt/monday
systemctl stop kvnode
step "stopped: $(shown ActiveState Result)"
cd /opt
typed restore
step "restored: $(kv get k)"

kill -KILL "$(shown MainPID)"
step "started again: $(kv --timeout 30 get k), $(shown NRestarts) restart"

typed damaged
step "new disk: $(kv ls --count) keys, $(shown ActiveState StatusText)"

systemctl stop kvnode
mv /etc/kvnode/kvnode.toml /etc/kvnode/elsewhere
told=$(systemctl start kvnode 2>&1)
step "no settings: $(shown ActiveState SubState), $told"
mv /etc/kvnode/elsewhere /etc/kvnode/kvnode.toml
systemctl start kvnode
step "and with them: $(shown ActiveState StatusText)"

echo 'frobnicate = 1' >> /etc/kvnode/kvnode.toml
systemctl restart kvnode
step "wrong setting: $(shown ActiveState ExecMainStatus)"
journalctl --no-pager -u kvnode > /results/journal
step "done"

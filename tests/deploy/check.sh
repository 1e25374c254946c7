#!/bin/sh
# What docs/OPERATIONS.md has one do with the unit for systemd; each line of /results/done is what came
# of a step. Run by boot.sh.
exec 2> /results/errors
PATH=/opt/kvnode/bin:$PATH
data=/var/lib/private/kvnode
step() {
    echo "$*" >> /results/done
}
shown() {
    for property; do systemctl show -p "$property" --value kvnode; done | paste -sd ' '
}

systemctl start kvnode
step "started: $(shown ActiveState StatusText)"
kv put k v
process=$(shown MainPID)
step "privileges: $(awk '/^(CapEff|CapBnd|NoNewPrivs|Seccomp):/ { print $2 }' "/proc/$process/status" | paste -sd ' ')"
step "owner: $(stat -c %U $data/node.json)"
kvnode backup monday > /dev/null
cp -r $data/backups/monday /opt/monday
systemctl stop kvnode
step "stopped: $(shown ActiveState Result)"
mv $data $data.before
kvnode restore /opt/monday --data $data > /dev/null
systemctl start kvnode
step "restored: $(kv get k)"

kill -KILL "$(shown MainPID)"
step "started again: $(kv --timeout 30 get k), $(shown NRestarts) restart"

echo 'frobnicate = 1' >> /etc/kvnode/kvnode.toml
systemctl restart kvnode
step "wrong setting: $(shown ActiveState ExecMainStatus)"
journalctl --no-pager -u kvnode > /results/journal
step "done"

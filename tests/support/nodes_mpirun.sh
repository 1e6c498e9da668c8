#!/usr/bin/env bash
# Runs a program under mpirun on emulated nodes: nodes_mpirun.sh SECONDS NODES RANKS_PER_NODE PROGRAM [ARGUMENT...]
#
# A node is a set of namespaces of its own (network, host name, processes, /dev/shm) behind a bridge; files are common to
# all, as on a cluster. mpirun starts one daemon per node, and between nodes ranks have nothing but TCP. The bridge stands
# in a namespace too, so that the machine's own network is not touched and nothing is left when this script has ended.
# Node i is called node-i and is process 1 of its namespace; its command line holds "emulated node-i".
# Needs root, iproute2 and util-linux. The run ends after SECONDS (times ARGOSY_TEST_PATIENCE) whatever happens.
set -eu

# As the agent that mpirun starts its daemons with: nodes_mpirun.sh --on NODE COMMAND...
if [ "$1" = --on ]; then
    node=$2
    shift 2
    exec nsenter --target "$(cat "$ARGOSY_NODES_DIR/$node")" --net --uts --ipc --mount --pid -- sh -c "$*"
fi

script=$(readlink -f "$0")
if [ -z "${ARGOSY_NODES_DIR:-}" ]; then
    ARGOSY_NODES_DIR=$(mktemp -d)
    export ARGOSY_NODES_DIR
    trap 'rm -rf "$ARGOSY_NODES_DIR"' EXIT
    status=0
    # --kill-child and a process namespace: whatever becomes of this script, the nodes end with it.
    unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc "$script" "$@" || status=$?
    exit "$status"
fi

seconds=$(($1 * ${ARGOSY_TEST_PATIENCE:-1})) nodes=$2 ranks_per_node=$3
shift 3
dir=$ARGOSY_NODES_DIR

ip link set lo up
ip link add bridge0 type bridge
ip addr add 10.11.0.254/24 dev bridge0
ip link set bridge0 up
echo "127.0.0.1 localhost" >"$dir/hosts"
for ((i = 1; i <= nodes; ++i)); do echo "10.11.0.$i node-$i" >>"$dir/hosts"; done

# Process 1 of a node: notes its number, as the bridge's namespace counts, and waits for whatever ends in the node.
boot='read -r pid rest </proc/self/stat; mount -t proc proc /proc; mount -t tmpfs tmpfs /dev/shm
mount --bind "$2/hosts" /etc/hosts; hostname "node-$1"; echo "$pid" >"$2/new-$1"; mv "$2/new-$1" "$2/node-$1"
trap : CHLD; while :; do sleep 1000 & wait; done'
hosts=
for ((i = 1; i <= nodes; ++i)); do
    unshare --net --uts --ipc --mount --pid --fork --kill-child --propagation private \
        bash -c "$boot" "emulated node-$i" "$i" "$dir" </dev/null >/dev/null 2>&1 &
    while [ ! -e "$dir/node-$i" ]; do sleep 0.01; done
    inner=$(cat "$dir/node-$i")
    ip link add "port$i" type veth peer name eth0 netns "$inner"
    ip link set "port$i" master bridge0 up
    nsenter --target "$inner" --net sh -c "ip addr add 10.11.0.$i/24 dev eth0; ip link set eth0 up; ip link set lo up"
    hosts+=node-$i:$ranks_per_node,
done

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1  # namespaces want root
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
status=0
timeout -k 2 "$seconds" mpirun --mca plm rsh --mca plm_rsh_agent "$script --on" --mca plm_rsh_no_tree_spawn 1 \
    --mca oob_tcp_if_include 10.11.0.0/24 --mca btl_tcp_if_include 10.11.0.0/24 --mca btl self,vader,tcp --mca pml ob1 \
    --mca mpi_yield_when_idle 1 --bind-to none --host "${hosts%,}" -n $((nodes * ranks_per_node)) "$@" || status=$?
exit "$status"

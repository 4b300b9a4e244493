# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# shellcheck shell=sh
#
# Makes one client of the lab; runs as the first process of the client's own namespaces and becomes its sshd.
# Arguments: name, address/prefix, base tree, directory with its files in "upper".
set -eu
name=$1 address=$2 base=$3 place=$4

# The process id as the machine counts, since /proc is still the machine's.
read -r pid rest < /proc/self/stat
echo "$pid"
# The supervisor moves eth0 into this network now.
read -r _
exec > /dev/null < /dev/null

hostname "$name"
ip link set lo up
ip address add 169.254.169.254/32 dev lo
ip address add "$address" dev eth0
ip link set eth0 up

mkdir "$place/work" "$place/root"
cd "$place"
mount -t overlay overlay -o "lowerdir=$base,upperdir=upper,workdir=work" root
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm run/sshd run/lock
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr

# From here on the machine's files do not exist for this client.
mkdir run/machine
pivot_root . run/machine
exec chroot . sh -c 'umount -l /run/machine && rmdir /run/machine && exec /usr/sbin/sshd -D -e'

# Becomes the first process of a container as pods.rs wants it, in namespaces of its own:
#     sh pod.sh ROOT PROGRAM CONFIGURATION SERVICE USER COMMAND [ARGUMENT]...
# ROOT is an empty directory. There will be a root that nobody can write to, PROGRAM as COMMAND on the PATH, an empty directory
# /run/polyport as the kubelet makes it of an emptyDir with an fsGroup, CONFIGURATION at /etc/polyport, SERVICE as the address of
# the name `polyport`, and nothing that USER may do.
set -e
root=$1 program=$2 configuration=$3 service=$4 user=$5
shift 5
mount -t tmpfs -o mode=755 none "$root"
for path in app dev etc/polyport proc run/polyport; do mkdir -p "$root/$path"; done
for top in usr bin sbin lib lib32 lib64; do
    if [ -L "/$top" ]; then
        cp -P "/$top" "$root/$top"
    elif [ -d "/$top" ]; then
        mkdir "$root/$top"
        mount --bind "/$top" "$root/$top"
        mount -o remount,bind,ro "$root/$top"
    fi
done
for device in null urandom zero; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
: >"$root/app/$1"
mount --bind "$program" "$root/app/$1"
mount -t proc none "$root/proc"
mount -t tmpfs -o mode=2777,uid=0,gid="$user" none "$root/run/polyport"
mount --bind "$configuration" "$root/etc/polyport"
mount -o remount,bind,ro "$root/etc/polyport"
# As a cluster's name server would have it.
printf '127.0.0.1 localhost\n%s polyport\n' "$service" >"$root/etc/hosts"
mount -o remount,ro "$root"
exec chroot "$root" env PATH=/app:/usr/bin:/bin setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps=-all \
    --bounding-set=-all --no-new-privs "$@"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Every example of every --help, as it stands there; and what a command says to do where
# it cannot: the module is not loaded, there is no permission, there is no tracefs.
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

for program in bufftrack jq trace-cmd perf gdb python3 script setpriv; do
	command -v $program >/dev/null || skip_all "no $program"
done

# ---- what the examples speak of

mkdir "$tmp/bin" "$tmp/there"
printf '%s\n' '#!/bin/bash' '# Who runs this is root already.' 'exec "$@"' >"$tmp/bin/sudo"
cat >"$tmp/there/test" <<'END'
#!/bin/bash
btctl alloc 1 1 0x1000 64 free 1 1 0x1000
END
chmod +x "$tmp/bin/sudo" "$tmp/there/test"
echo 'pass' >"$tmp/there/train.py"
echo "✓ [PID 71] Allocated 524288 bytes of L1 on device 0 (buffer_id=25718784)" >"$tmp/there/server.log"
gzip -k "$tmp/there/server.log"
echo '{"event":"double_free","offender":{"stack":[]}}' >"$tmp/there/good.jsonl"
ln -s "${BUFFTRACK_MODULE_DIR:-/nonexistent}" "$tmp/there/build"
PATH=$tmp/bin:$PATH

mapfile -t commands < <(bufftrack --help |
	awk '/^Commands:/ { on = 1; next } !NF { on = 0 } on && $1 != "help" { print $1 }')
for command in "${commands[@]}"; do
	bufftrack "$command" --help | sed -n '/^Examples\?:/,$s/^  //p'
done >"$tmp/examples"
mapfile -t examples <"$tmp/examples"

# Something to report, all the time
misuse()
{
	while :; do
		flock "$tmp/lock" btctl alloc 2 1 0x2000 64 free 2 1 0x2000 free 2 1 0x2000 >/dev/null 2>&1
		sleep 0.3
	done
}

# It ends by itself, or goes on until Ctrl-C or q; with what it ends with, and says nothing
# of having failed.
runs()	# EXAMPLE
{
	local line=$1 status=0
	case $line in
	*load*) flock 8 ;; # whoever misuses it would keep it in use
	esac
	case $line in
	*"bufftrack load"*) [[ ! -e /sys/module/bufftrack ]] || unload ;;
	*) load_once ;;
	esac
	case $line in
	# There is to be something to ask after.
	"bufftrack who"*) btctl alloc 2 1 0x2000 64 free 2 1 0x2000 >/dev/null ;;
	esac
	case $line in
	"bufftrack top" | "bufftrack top --sort"*)
		# It wants a terminal, and is ended there.
		(sleep 4; printf q; sleep 1) |
			timeout 60 script -qec "cd $tmp/there; TERM=vt100 $line" /dev/null >"$tmp/out" 2>&1 || status=$?
		;;
	*watch | *"watch --all"* | "bufftrack serve"*)
		(cd "$tmp/there" && timeout -s INT 5 bash -c "exec ${line#sudo }") \
			>"$tmp/out" 2>&1 || status=$?
		# timeout says that it had to.
		[[ $status -ne 124 ]] || status=0
		;;
	*) (cd "$tmp/there" && timeout 120 bash -o pipefail -c "$line") </dev/null >"$tmp/out" 2>&1 || status=$? ;;
	esac
	flock -u 8
	[[ $status -eq 0 ]] && ! grep '^bufftrack: ' "$tmp/out" | grep -v watching && return
	echo "$line exits with $status:"
	head -n 20 "$tmp/out"
	return 1
}

load_once()
{
	[[ -e /sys/module/bufftrack ]] || load
}

# A command fails, and says this
says()	# REGULAR-EXPRESSION COMMAND...
{
	fails 1 "$@"
}

fails()	# STATUS REGULAR-EXPRESSION COMMAND...
{
	local said wanted=$2 failure=$1 status=0
	shift 2
	said=$("$@" 2>&1) || status=$?
	same "$failure" $status && matches "$wanted" "$said"
}

nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
begin $((${#examples[@]} + 18))
check "there are examples of all" between 20 ${#examples[@]} 99
exec 8>"$tmp/lock"
misuse 8>&- &
for example in "${examples[@]}"; do
	check "$example" runs "$example"
done
kill $!
wait $!
load_once
check "watch, no permission" says "sudo" "${nobody[@]}" bufftrack watch
check "run, no permission" fails 125 "sudo" "${nobody[@]}" bufftrack run -- true
check "list, no permission" says "sudo.*group" "${nobody[@]}" bufftrack list
chmod 755 "$tmp" "$tmp/there"
check "replay, no permission" says "sudo.*group" "${nobody[@]}" bufftrack replay "$tmp/there/server.log"
check "top, no permission" says "sudo.*group" "${nobody[@]}" bufftrack top --json -n 1
check "status, no permission" says "sudo.*group" "${nobody[@]}" bufftrack status
check "unload, no permission" says "sudo bufftrack unload" "${nobody[@]}" bufftrack unload
# In a mount namespace of its own, by a root who may not mount it: else it mounts it.
check "watch, no tracefs" says "mount -t tracefs" timeout -s INT 60 unshare -m sh -c \
	'umount -R /sys/kernel/tracing; umount -R /sys/kernel/debug;
	 exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin bufftrack watch'
unload
[[ ! -e $module ]] || cp "$module" "$tmp/there/"
check "load, no permission" says "sudo bufftrack load" "${nobody[@]}" bufftrack load "$tmp/there/bufftrack.ko"
check "watch, not loaded" says "bufftrack load" timeout -s INT 30 bufftrack watch --count 1
check "run, not loaded" fails 125 "bufftrack load" bufftrack run -- true
check "list, not loaded" says "bufftrack load" bufftrack list
check "replay, not loaded" says "bufftrack load" bufftrack replay "$tmp/there/server.log"
check "top, not loaded" says "bufftrack load" bufftrack top --json -n 1
check "report, no such file" says "no_such" bufftrack report "$tmp/no_such.dat"
check "load, no such file" says "cannot read" bufftrack load "$tmp/no_such.ko"
check "load, not built" says "make KVER=" env BUFFTRACK_MODULE_DIR="$tmp" bufftrack load
ktap_finished

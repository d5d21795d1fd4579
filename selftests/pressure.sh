#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Real memory pressure: freed-buffer records are evicted, live buffers are not.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"

device=0x9e550
buried=200000

reserve=/proc/sys/vm/min_free_kbytes

free()	# memory, in KiB
{
	awk '$1 == "MemFree:" { print $2 }' /proc/meminfo
}

kills()
{
	awk '$1 == "oom_kill" { print $2 }' /proc/vmstat
}

# Takes memory until freed-buffer records were evicted. The kernel begins to reclaim at 5/4 of
# its reserve, and kills where there is less than that: it must not come to this.
squeeze()
{
	local history=0 evicted=0 taken=0 step=$((4 << 20))
	while [[ $evicted -eq 0 && $(free) -gt $(($(<$reserve) + 16384)) ]]; do
		fallocate -o $taken -l $step "$tmp/hog/file" || break
		taken=$((taken + step))
		read -r history evicted < <(btctl history $device)
	done
	echo "kept $history, gave up $evicted, $(free) KiB free, $(<$reserve) in reserve"
	[[ $evicted -gt 0 ]]
}

begin 9
before=$(kills)
echo 1000000 >$parameters/history
mkfifo "$tmp/live"
btctl alloc $device 1 1 4096 wait free $device 1 1 <"$tmp/live" >"$tmp/out" &
exec 7>"$tmp/live"
while ! grep -q ready "$tmp/out"; do sleep 0.1; done
btctl bury $device $buried >/dev/null
check "all are kept, while there is room" same "$buried 0" "$(btctl history $device)"

mkdir "$tmp/hog"
mount -t tmpfs -o size=100% hog "$tmp/hog" || exit 1
was=$(<$reserve)
# Most of what is free, so that the rest is soon taken
echo $(($(free) * 3 / 4)) >$reserve
check "freed-buffer records give way" squeeze
echo "$was" >$reserve
umount "$tmp/hog"
check "no one was killed for want of memory" same "$before" "$(kills)"

read -r history evicted < <(btctl history $device)
check "each eviction was counted" same $buried $((history + evicted))
exec 7>&-
wait
check "a live buffer stays" same "ok ok" "$(grep -v ready "$tmp/out" | cut -d ' ' -f 1 | xargs)"
check "the free of a forgotten one says so" \
	matches "unknown_free.*history_lost" "$(btctl free $device 1 0xdead0000)"
check "and there is room for new ones" \
	same "ok ok double_free" "$(btctl alloc $device 1 2 64 free $device 1 2 \
		free $device 1 2 | cut -d ' ' -f 1 | xargs)"

# Of many shares each gives what is its part of the whole, 10,200 here.
shrinker=$(echo /sys/kernel/debug/shrinker/bufftrack-*)
if [[ -e $shrinker/scan ]]; then
	unload
	load
	small=$(for i in {1..100}; do echo bury $((device + i)) 2; done)
	# shellcheck disable=SC2086 # words
	btctl $small bury $device 10000 >/dev/null
	echo 0 0 128 >"$shrinker/scan"
	read -r history evicted < <(btctl history $device)
	check "by far the most from who has by far the most" between 120 "$evicted" 128
	# shellcheck disable=SC2046 # words
	check "hardly any from those who have hardly any" between 0 \
		"$(btctl $(for i in {1..100}; do echo history $((device + i)); done) |
			awk '{ sum += $2 } END { print sum }')" 8
else
	for name in "by far the most from who has by far the most" \
		"hardly any from those who have hardly any"; do
		ktap_test_skip "$name: no CONFIG_SHRINKER_DEBUG"
	done
fi
ktap_finished

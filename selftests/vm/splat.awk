# SPDX-License-Identifier: GPL-2.0
# Reads a kernel log, prints what is wrong in it with some lines around, and exits with 0
# where it found something, else with 1.

# The kernel's name for a kind of trouble, as it stands in the log.
function trouble(line)
{
	# "cut here" reports, oopses, what ends a kernel
	if (line ~ /WARNING: |BUG: |kernel BUG at|Oops|Kernel panic/) return 1
	if (line ~ /general protection fault|Unable to handle kernel|double fault/) return 1
	if (line ~ /------------\[ cut here \]------------/) return 1
	# KASAN and KFENCE say BUG: too; UBSAN and KCSAN have headings of their own
	if (line ~ /(KASAN|KCSAN|KFENCE|UBSAN): /) return 1
	# lockdep
	if (line ~ /possible (circular locking|recursive locking|irq lock inversion)/) return 1
	if (line ~ /inconsistent lock state|suspicious RCU usage|bad unlock balance/) return 1
	if (line ~ /(HARDIRQ|SOFTIRQ|RECLAIM_FS|FS_RECLAIM)-(safe|unsafe|READ)/) return 1
	if (line ~ /held lock freed|lock held when returning to user|still has locks held/) return 1
	if (line ~ /Invalid wait context|INFO: trying to register non-static key/) return 1
	if (line ~ /(MAX_LOCK|MAX_STACK)[A-Z_]* too low|DEBUG_LOCKS_WARN_ON/) return 1
	# contexts
	if (line ~ /scheduling while atomic|sleeping function called/) return 1
	if (line ~ /exited with (preempt_count|irqs disabled)|using smp_processor_id\(\) in preempt/) return 1
	# stalls
	if (line ~ /INFO: task .* blocked|soft lockup|hard LOCKUP/) return 1
	if (line ~ /rcu: INFO: .*stall|rcu_.*kthread (starved|timer wakeup)|workqueue lockup/) return 1
	# memory and objects
	if (line ~ /refcount_t: |ODEBUG: |list_(add|del) corruption|Bad page (state|map)/) return 1
	if (line ~ /Objects remaining in|Slab cache still has objects|Freepointer corrupt/) return 1
	if (line ~ /(Redzone|Poison|Padding) overwritten|Object already free|usercopy: /) return 1
	# kmemleak's objects, of its last look; that there are new ones is told of each look,
	# fail_load's too, which reads for itself what it made the kernel lose.
	if (line ~ /unreferenced object/) return 1
	if (line ~ /percpu ref .* <= 0|kobject: .* tried to (add|init)|sysfs: cannot create duplicate/) return 1
	# any stack that no text above explains
	if (line ~ /Call Trace:/) return 1
	return 0
}

# Not of a bug, though its words are like one's.
function harmless(line)
{
	# kernels say these of themselves at boot, under an emulated CPU
	if (line ~ /Speculative Return Stack Overflow|RETBleed: |Spectre V2 : |MDS|TAA:/) return 1
	return 0
}

function show(line)
{
	if (printed < 200) print "  " line
	else if (printed == 200) print "  (more of it in the log)"
	printed++
}

# A function whose accesses are its caller's. Those of xarrays are not: the module has
# none of their xas_ functions, and all others take the lock, or RCU, by themselves.
function on_behalf(name)
{
	return name ~ /^_*(mem(cpy|cmp|move|set|chr_inv)|str[a-z]+|sized_strscpy)/ ||
	       name ~ /^_*(copy_(to|from)_user|rep_movs|list_|refcount_|rhashtable_)/
}

# Of a bucket of the kernel's rhashtable, whose inline functions are in these of ours: who
# has its bit lock reads it plainly, while another tries to take the lock.
function of_bucket(name)
{
	return name ~ /^bufftrack_(record_(insert|remove)|stack_put|device_open|device_put)\+/ ||
	       name ~ /^(stack_intern|device_insert)\+/ || name ~ /^_*(rht|rhashtable)_/
}

function bit_lock(	i, tries, reads)
{
	for (i = 1; i <= accesses; i++) {
		if (!of_bucket(maker[i])) return 0
		tries += kind[i] == "read-write (marked) of 8"
		reads += kind[i] ~ /^read( \(reordered\))? of 8$/
	}
	return tries == 1 && reads == 1 && !changed
}

function end_of_race(	i)
{
	ours = ours && !bit_lock()
	if (ours) for (i = 0; i < held; i++) show(report[i])
	found += ours
	race = 0
}

{
	sub(/\r$/, "")
	# An injected failure may make the allocator print its stack: that stack is asked for.
	if (/FAULT_INJECTION: forcing a failure/) injected = 1
	# So does a slab cache that could not be made; whose it was, its load has failed.
	if (/kmem_cache_create.* failed with error -/) injected = 1
	if (injected && /Call Trace:/) { injected = 0; bad = 0 }
	else bad = trouble($0) && !harmless($0)

	# A race elsewhere in a strict kernel is not ours, even where a call of ours has led
	# there (to a page fault, to the allocator): see who made the access.
	if (/BUG: KCSAN: /) {
		race = 1
		ours = held = accessed = accesses = changed = 0
	}
	if (race) {
		if (accessed && match($0, /[A-Za-z_][A-Za-z0-9_.]*\+0x/) &&
		    !on_behalf(maker[accesses] = substr($0, RSTART, RLENGTH))) {
			if (/\[bufftrack\]/) ours = 1
			accessed = 0
		}
		if (match($0, / to 0x[0-9a-f]+ of [0-9]+ bytes by /)) {
			accessed = 1
			kind[++accesses] = $0
			gsub(/^.*\] | to 0x[0-9a-f]+| bytes by .*/, "", kind[accesses])
		}
		if (/value changed: /) changed = 1
		report[held++] = $0
		if (/==========/ && held > 1 || held > 100) end_of_race()
		# Another CPU may have more to say in between.
		if (!bad || /BUG: KCSAN: /) next
	}

	if (bad) {
		found++
		if (!after) for (i = NR > 5 ? NR - 5 : 1; i < NR; i++) show(before[i % 5])
		after = 40
	}
	if (after > 0) {
		show($0)
		after--
	}
	before[NR % 5] = $0
}

END {
	if (race) end_of_race()
	exit !found
}

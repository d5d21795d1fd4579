# SPDX-License-Identifier: GPL-2.0
# Reads what selftests/host/guest printed in one VM or more (-v name= before each
# file); prints each failed test with its output, each skipped one with its
# reason, and last how many there were, by file and in all (-v table=1: before
# that by program and file, as passed/failed/skipped; -v times=1: the seconds that
# each program took, too, the slowest first). Exit status 1 where one failed, where
# none ran, and where a VM did not come to its end.

function count(result)
{
	all_of[result]++
	if (!(label in seen)) {
		seen[label]
		labels[++nr_labels] = label
	}
	file_of[label, result]++
	cell_of[program, label, result]++
	if (!(program in row)) {
		row[program]
		rows[++nr_rows] = program
	}
}

function words(of, key)
{
	return sprintf("%d passed, %d failed, %d skipped", of[key "passed"],
		       of[key "failed"], of[key "skipped"])
}

function cell(key,	ran)
{
	ran = cell_of[key "passed"] + cell_of[key "failed"] + cell_of[key "skipped"]
	return ran ? sprintf("%d/%d/%d", cell_of[key "passed"], cell_of[key "failed"],
			     cell_of[key "skipped"]) : "-"
}

function fail(what, text)
{
	count("failed")
	print "FAILED " label ": " program (what ? ": " what : "")
	if (text)
		printf "%s", text
}

# The end of one program's output: @result is its own line, "" where it died.
function finish(result)
{
	if (!program)
		return
	programs++
	if (plan > cases) {
		fail((plan - cases) " of " plan " tests did not run" \
		     (result ~ /# / ? " (" substr(result, index(result, "# ") + 2) ")" : ""), pending)
		for (i = plan - cases; i > 1; i--)
			count("failed")
	} else if (!result) {
		fail("ended early", pending)
	} else if (result ~ /^not ok/ && !bad) {
		fail(result ~ /# / ? substr(result, index(result, "# ") + 2) : "",
		     all)
	} else if (!cases && result ~ /# SKIP/) {
		skip("", why ? why : all)
	} else if (!cases && result ~ /^ok/) {
		count("passed")
	}
	program = pending = all = why = ""
}

function skip(what, reason)
{
	count("skipped")
	gsub(/^(# )+|\n+$/, "", reason)
	gsub(/\n(# )*/, "; ", reason)
	print "SKIPPED " label ": " program (what ? ": " what : "") (reason ? ": " reason : "")
}

function end_of_vm()
{
	finish("")
	program = "the VM"
	if (label && !done)
		fail("ended before its tests did", "")
	else if (programs < wanted)
		fail("ran " programs " of " wanted " programs", "")
	program = ""
	programs = wanted = 0
}

FNR == 1 {
	end_of_vm()
	label = name
	done = 0
}

/^# guest: .* programs$/ { wanted = $(NF - 1) + 0; next }
/^# guest: .* took [0-9]+ s$/ {
	seconds = $(NF - 1)
	sub(/^# guest: /, "")
	sub(/ took [0-9]+ s$/, "")
	if (!($0 in took_in_all))
		slow[++nr_slow] = $0
	took_in_all[$0] += seconds
	took[$0, label] += seconds
	took_of[label] += seconds
	next
}
/^# guest: done$/ { finish(""); done = 1; next }
/^TAP version/ { finish(""); plan = cases = bad = 0; next }
/^# selftests: / { program = $NF; sub(/^# selftests: [^:]*: /, ""); program = $0; next }
/^(not )?ok [0-9]+ selftests: / { finish($0); next }
!program { next }

# A plan of none may say why.
/^# 1\.\.[0-9]+/ {
	plan = substr($2, 4) + 0
	if (sub(/.*# SKIP */, ""))
		why = $0
	next
}

/^# (not )?ok [0-9]+/ {
	cases++
	what = $0
	sub(/^# (not )?ok [0-9]+ */, "", what)
	if (/^# not ok/) {
		bad++
		fail(what, pending $0 "\n")
	} else if (/# SKIP/) {
		reason = what
		sub(/.*# SKIP */, "", reason)
		sub(/ *# SKIP.*/, "", what)
		skip(what, reason)
	} else {
		count("passed")
	}
	pending = ""
	next
}

/^# # +RUN / { pending = "" }
{ pending = pending $0 "\n"; all = all $0 "\n" }

# The slowest first
function sort_times(	i, n, one)
{
	for (i = 2; i <= nr_slow; i++) {
		one = slow[i]
		for (n = i; n > 1 && took_in_all[slow[n - 1]] < took_in_all[one]; n--)
			slow[n] = slow[n - 1]
		slow[n] = one
	}
}

function print_times(	i, n)
{
	printf "%-20s", "seconds"
	for (i = 1; i <= nr_labels; i++)
		printf " %9s", labels[i]
	print ""
	for (n = 1; n <= nr_slow; n++) {
		printf "%-20s", slow[n]
		for (i = 1; i <= nr_labels; i++)
			printf " %9s", ((slow[n], labels[i]) in took) ? \
				took[slow[n], labels[i]] : "-"
		print ""
	}
	printf "%-20s", "all"
	for (i = 1; i <= nr_labels; i++)
		printf " %9s", took_of[labels[i]] + 0
	print ""
}

END {
	end_of_vm()
	if (times && nr_slow) {
		sort_times()
		print_times()
	}
	if (table) {
		printf "%-20s", ""
		for (i = 1; i <= nr_labels; i++)
			printf " %9s", labels[i]
		print ""
		for (n = 1; n <= nr_rows; n++) {
			printf "%-20s", rows[n]
			for (i = 1; i <= nr_labels; i++)
				printf " %9s", cell(rows[n] SUBSEP labels[i] SUBSEP)
			print ""
		}
	}
	for (i = 1; i <= nr_labels; i++)
		print labels[i] ": " words(file_of, labels[i] SUBSEP)
	print words(all_of, "")
	exit all_of["failed"] || !all_of["passed"]
}

# SPDX-License-Identifier: GPL-2.0
# Reads what selftests/guest printed in one VM or more (-v name= before each
# file); prints each failed test with its output, each skipped one with its
# reason, and last how many there were. Exit status 1 where one failed, where
# none ran, and where a VM did not come to its end.

function fail(what, text)
{
	failed++
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
		fail((plan - cases) " of " plan " tests did not run", pending)
		failed += plan - cases - 1
	} else if (!result) {
		fail("ended early", pending)
	} else if (result ~ /^not ok/ && !bad) {
		fail(result ~ /# / ? substr(result, index(result, "# ") + 2) : "",
		     all)
	} else if (!cases && result ~ /# SKIP/) {
		skip("", why ? why : all)
	} else if (!cases && result ~ /^ok/) {
		passed++
	}
	program = pending = all = why = ""
}

function skip(what, reason)
{
	skipped++
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
		passed++
	}
	pending = ""
	next
}

/^# # +RUN / { pending = "" }
{ pending = pending $0 "\n"; all = all $0 "\n" }

END {
	end_of_vm()
	printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
	exit failed || !passed
}

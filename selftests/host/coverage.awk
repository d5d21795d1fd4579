# SPDX-License-Identifier: GPL-2.0
# Reads lcov's tracefile; prints a line a file and their sum, and then each line
# that was not met, in runs, with its reason. -v left=FILE has these: a regular
# expression for the line's function, and the reason, by a tab. No two functions
# of kmod/ have one name. Exit status 1 below 95 % of the lines.

function percent(part, whole)
{
	return whole ? sprintf("%.1f %%", 100 * part / whole) : "-"
}

function row(name, lines, hit, branches, taken)
{
	printf "%-22s %6d %6d %8s %8d %6d %8s\n", name, lines, hit, percent(hit, lines),
		branches, taken, percent(taken, branches)
}

function reason(fn,    i)
{
	for (i = 1; i <= reasons; i++)
		if (fn ~ "^(" functions[i] ")$") {
			used[i] = 1
			return why[i]
		}
	return ""
}

BEGIN {
	FS = "\t"
	while ((getline line <left) > 0) {
		if (line ~ /^(#|$)/)
			continue
		if (split(line, part, "\t") != 2) {
			print "coverage.left: not two columns: " line
			exit bad = 2
		}
		functions[++reasons] = part[1]
		why[reasons] = part[2]
	}
	FS = "[:,]"
	printf "%-22s %6s %6s %8s %8s %6s %8s\n", "file", "lines", "met", "", "branches",
		"taken", ""
}

$1 == "SF" {
	file = $2
	sub(/.*\/kmod\//, "", file)
	delete starts
	fn = ""
	at = 0
}
$1 == "FN" { starts[$2 + 0] = $3 }
$1 == "DA" {
	number = $2 + 0
	while (at < number)
		if (++at in starts)
			fn = starts[at]
	if ($3 > 0)
		next
	missed[++misses] = file ":" number
	missed_in[misses] = fn
	missed_file[misses] = file
	missed_line[misses] = number
}
$1 == "LF" { lf = $2 }
$1 == "LH" { lh = $2 }
$1 == "BRF" { bf = $2 }
$1 == "BRH" { bh = $2 }
$1 == "end_of_record" {
	row(file, lf, lh, bf, bh)
	lines += lf
	hit += lh
	branches += bf
	taken += bh
	lf = lh = bf = bh = 0
}

END {
	if (bad)
		exit bad
	row("kmod/", lines, hit, branches, taken)
	print ""
	for (i = 1; i <= misses; i++) {
		path = "kmod/" missed_file[i]
		if (missed_file[i] != loaded) {
			delete text
			nr = 0
			while ((getline line <path) > 0)
				text[++nr] = line
			close(path)
			loaded = missed_file[i]
		}
		line = text[missed_line[i]]
		sub(/^[ \t]+/, "", line)
		because = reason(missed_in[i])
		if (because != "") {
			explained++
			count[because]++
			places[because] = places[because] (places[because] ? " " : "") missed[i]
		} else {
			printf "not met: %-22s %s(): %s\n", missed[i], missed_in[i], line
		}
	}
	for (because in places)
		printf "not met, %d lines: %s\n    %s\n", count[because], because, places[because]
	for (i = 1; i <= reasons; i++)
		if (!used[i])
			printf "coverage.left: met by now: %s\n", functions[i]
	printf "\n%s of the lines of kmod/ are met, %s of the branches; of %d lines that are not, %d have a reason\n",
		percent(hit, lines), percent(taken, branches), misses, explained
	exit hit < 0.95 * lines || explained < misses
}

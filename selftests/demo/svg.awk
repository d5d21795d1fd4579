# SPDX-License-Identifier: GPL-2.0
# Draws what "tmux capture-pane -p -e" has printed as SVG: runs of cells of one look, each
# as a rectangle and a text. Of ASCII, and of the attributes that top uses.

function escape(text)
{
	gsub(/&/, "\\&amp;", text)
	gsub(/</, "\\&lt;", text)
	gsub(/>/, "\\&gt;", text)
	return text
}

function reset_look()
{
	bold = dim = reverse = 0
	ink = "#d0d0d0"
	paper = "#1c1c1c"
}

function set_look(codes,    n, i, code)
{
	n = split(codes, code, ";")
	if (codes == "")
		reset_look()
	for (i = 1; i <= n; i++) {
		if (code[i] == 0) reset_look()
		else if (code[i] == 1) bold = 1
		else if (code[i] == 2) dim = 1
		else if (code[i] == 7) reverse = 1
		else if (code[i] == 27) reverse = 0
		else if (code[i] == 31) ink = "#ff6b60"
		else if (code[i] == 36) ink = "#54d0e0"
		else if (code[i] == 39) ink = "#d0d0d0"
		else if (code[i] == 49) paper = "#1c1c1c"
		else {
			printf "svg.awk: an attribute that it does not know: %s\n", code[i] >"/dev/stderr"
			failed = 1
		}
	}
}

function draw(text, column,    x, y, width, style)
{
	x = margin + column * cell_width
	y = margin + (NR - 1) * cell_height
	width = length(text) * cell_width
	if (reverse)
		printf "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n",
		       x, y, width, cell_height, ink
	if (text ~ /^ *$/)
		return
	style = (bold ? " font-weight=\"bold\"" : "") (dim ? " opacity=\"0.6\"" : "")
	printf "<text x=\"%.1f\" y=\"%.1f\" textLength=\"%.1f\" fill=\"%s\"%s>%s</text>\n",
	       x, y + cell_height * 0.75, width, reverse ? paper : ink, style, escape(text)
}

BEGIN {
	columns = 80; rows = 24; cell_width = 8.4; cell_height = 18; margin = 10
	reset_look()
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" ",
	       columns * cell_width + 2 * margin, rows * cell_height + 2 * margin
	print "font-family=\"monospace\" font-size=\"14\" xml:space=\"preserve\" style=\"white-space: pre\">"
	print "<!-- SPDX-License-Identifier: GPL-2.0 -->"
	print "<!-- bufftrack top, drawn by make picture -->"
	print "<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"" paper "\"/>"
}

{
	column = 0
	line = $0
	while (match(line, /\033\[[0-9;]*m/)) {
		if (RSTART > 1) {
			draw(substr(line, 1, RSTART - 1), column)
			column += RSTART - 1
		}
		set_look(substr(line, RSTART + 2, RLENGTH - 3))
		line = substr(line, RSTART + RLENGTH)
	}
	if (line != "")
		draw(line, column)
}

END {
	print "</svg>"
	exit failed
}

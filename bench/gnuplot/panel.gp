# Before the plot of panel i: where it stands, its title, and the names of the
# rows if it is the first of its line.
set lmargin at screen left(i)
set rmargin at screen right(i)
set tmargin at screen top(i)
set bmargin at screen bottom(i)
set title PANEL[i] font ",12" textcolor rgb ink offset 0, -0.7
unset ytics
if (across(i) == 0) {
    set ytics ("" 0) scale 0 textcolor rgb ink font ",11"
    do for [k = 1 : TARGETS] { set ytics add (NAME[k] k) }
} else {
    unset ytics
}
if (i > 1) { do for [k = 1 : 4] { unset label k }; do for [k = 1 : LEGENDS] { unset label 10 + k } }

# Three percentiles of each row, on a logarithmic axis, and their intervals as
# thin lines below.
#   LINES[i]   row, p50, p99.9, colour
#   TEXTS[i]   row, where, text
#   DOTS[i]    row, value, low, high, colour, percentile (1 to 3)
set logscale x
symbol(p) = word("7 13 9", p) + 0
do for [i = 1 : PANELS] {
    load PANEL_GP
    set xrange [FROM[i] : LIMIT[i]]
    set xtics ("0.02" 0.02, "0.05" 0.05, "0.1" 0.1, "0.2" 0.2, "0.5" 0.5, "1" 1, "2" 2, "5" 5, "10" 10, \
        "20" 20, "50" 50, "100" 100, "200" 200, "500" 500, "1000" 1000)
    plot LINES[i] using 2 : 1 : ($3 - $2) : (0) : 4 with vectors nohead lw 3 lc rgb variable, \
         DOTS[i] using 3 : ($1 + 0.12 + 0.09 * $6) : ($4 - $3) : (0) : 5 with vectors nohead lw 1.4 lc rgb variable, \
         TEXTS[i] using 2 : 1 : 3 with labels left offset 1.2, 0 font ",10" textcolor rgb grey, \
         for [p = 1 : 3] DOTS[i] using ($6 == p ? $2 : NaN) : 1 : 5 with points pt symbol(p) ps 1.0 lc rgb variable
}
unset multiplot

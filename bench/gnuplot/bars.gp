# Bars of one or more segments, with intervals and a text at their end.
#   BARS[i]    row, begin, end, colour of each segment
#   SPANS[i]   row, middle, low, high of each interval
#   TEXTS[i]   row, where, text
do for [i = 1 : PANELS] {
    load PANEL_GP
    set xrange [0 : LIMIT[i]]
    set xtics autofreq
    unset arrow 1
    if (MARK > 0) {
        set arrow 1 from first MARK, graph 0 to first MARK, graph 1 nohead lc rgb "#c2571a" lw 1.2 dt (6, 4) front
    }
    plot BARS[i] using (0.5 * ($2 + $3)) : 1 : 2 : 3 : ($1 - 0.36) : ($1 + 0.36) : 4 \
             with boxxyerror lc rgb variable, \
         SPANS[i] using 2 : 1 : 3 : 4 with xerrorbars pt -1 lc rgb ink lw 1, \
         TEXTS[i] using 2 : 1 : 3 with labels left offset 0.6, 0 font ",10" textcolor rgb ink
}
unset multiplot

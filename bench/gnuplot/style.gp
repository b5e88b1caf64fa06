# What all plots share. A white background, so that they can be read on dark
# pages too. bench/plots.py sets the names in capitals.
set encoding utf8
set terminal svg size WIDTH,HEIGHT font "DejaVu Sans,Helvetica,Arial,sans-serif,12" noenhanced background "#ffffff"
set output OUTPUT

ink = "#222222"
grey = "#666666"
faint = "#dddddd"
band = "#fff0dd"

set border 3 lc rgb "#888888" lw 0.8
set tics nomirror scale 0.4 textcolor rgb ink font ",11"
set grid xtics lc rgb faint lw 0.6 dt solid
set style fill solid 1.0 noborder
unset key

# Pixels: the left column for names, the top for titles, the bottom for small
# print; each panel's own title and axis.
across(i) = (i - 1) % COLUMNS
down(i) = int((i - 1) / COLUMNS)
panel_width = (WIDTH - NAMES_PX - 14.0) / COLUMNS
panel_height = (HEIGHT - TOP_PX - 46.0) / ROWS
left(i) = (NAMES_PX + across(i) * panel_width) / WIDTH
right(i) = (NAMES_PX + (across(i) + 1) * panel_width - 18.0) / WIDTH
top(i) = 1 - (TOP_PX + down(i) * panel_height + 26.0) / HEIGHT
bottom(i) = 1 - (TOP_PX + (down(i) + 1) * panel_height - 34.0) / HEIGHT

set yrange [TARGETS + 0.6 : 0.4]
# larder's own rows.
do for [k = 1 : LARDERS] {
    set object k rectangle from graph 0, first LARDER[k] - 0.5 to graph 1, first LARDER[k] + 0.5 \
        fc rgb band fs solid 1 noborder behind
}

set multiplot
set label 1 TITLE at screen 14.0 / WIDTH, screen 1 - 24.0 / HEIGHT left font ",17" textcolor rgb ink
set label 2 SUBTITLE at screen 14.0 / WIDTH, screen 1 - 46.0 / HEIGHT left font ",12" textcolor rgb grey
set label 3 SMALL_1 at screen 14.0 / WIDTH, screen 32.0 / HEIGHT left font ",10" textcolor rgb grey
set label 4 SMALL_2 at screen 14.0 / WIDTH, screen 15.0 / HEIGHT left font ",10" textcolor rgb grey
do for [k = 1 : LEGENDS] {
    set label 10 + k LEGEND[k] at screen (14.0 + LEGEND_AT[k]) / WIDTH, screen 1 - 66.0 / HEIGHT \
        left font ",12" textcolor rgb LEGEND_COLOUR[k]
}

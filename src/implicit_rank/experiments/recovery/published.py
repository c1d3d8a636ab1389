"""The published Figure 4 of Bao 2020 as numbers: steps to d_align = 0.3, read off the plot (within 5 %)."""

FIGURE_4 = {  # model, optimiser: latent width k -> steps
    ("rag", "nesterov"): {
        2: 850,
        5: 3100,
        10: 3400,
        20: 3700,
        50: 4100,
        100: 7000,
        200: 12_100,
        300: 15_500,
        400: 18_200,
        500: 16_500,
    },
    ("nonuniform_l2", "nesterov"): {2: 120, 5: 780, 10: 3000, 20: 11_100, 50: 31_700},
    ("deterministic_nested_dropout", "nesterov"): {2: 100, 5: 570, 10: 3400, 20: 3000, 50: 24_000},
    ("nested_dropout", "nesterov"): {2: 90, 5: 1260, 10: 6400, 20: 24_800},
    ("rag", "adam"): {2: 2300, 5: 2300},
    ("nonuniform_l2", "adam"): {2: 280, 5: 900, 10: 2400, 20: 3800, 50: 6200, 100: 20_500},
    ("deterministic_nested_dropout", "adam"): {
        2: 310,
        5: 900,
        10: 1300,
        20: 1700,
        50: 1900,
        100: 1200,
        200: 1900,
        300: 22_500,
    },
    ("nested_dropout", "adam"): {2: 210, 5: 2700, 10: 4500, 20: 8500},
    ("vae", "nesterov"): {2: 2000},
}

// What the loops of derivatives are told besides Params.  Python reads the fields from this text, as
// those of params.h.
#pragma once

// Most ways in which orientations turn, and numbers that a shape depends on: the cells along each axis
// (square), terms of the squared radius (round), terms xx, yy, zz, xy, xz, yz of the form (gauss).
enum { MOST_SPINS = 8, MOST_SHAPE = 6 };

// Derivatives for one parameter.
struct Slope {
  // Cell vectors a, b, c before they are turned [m], what the shape depends on, ln of every term.
  double axes[9];
  double shape[6];
  double log;
  // The detector; deep: one layer further along the normal.
  double origin[3];
  double fast[3];
  double slow[3];
  double deep[3];
  double normal[3];
  double close_distance;
  double depth;
  double kahn;
  double background;
  double scale;
  // Which of these are not all 0; the way in which it turns orientations, -1: none; whether it changes
  // wavelengths.
  int turned;
  int shaped;
  int placed;
  int spin;
  int lit;
  int spare;
};

// What holds for all parameters.
struct Slopes {
  // Powers of the slope of a grating near its peak, for each axis.
  double series[3][4];
  // Polynomials of cos(N pi x) of few cells.
  double wave[3][6];
  int parameters;
  int spins;
  // Numbers of the shape that are wanted: 0, 3 or 6.
  int shaped;
  // Whether axes turn, and whether anything moves q.
  int turned;
  int moved;
  int spare;
};

package route

import "testing"

func TestFair(t *testing.T) {
	shares := map[string]int{"east": 75, "west": 25}
	both := []string{"east", "west"}
	for _, it := range []struct {
		what   string
		got    map[string]int
		shares map[string]int
		right  bool
	}{
		{"as the topology says", map[string]int{"east": 300, "west": 100}, shares, true},
		{"by chance a little off", map[string]int{"east": 270, "west": 130}, shares, true},
		{"half and half", map[string]int{"east": 200, "west": 200}, shares, false},
		{"all to one", map[string]int{"east": 400}, shares, false},
		{"without shares, however uneven", map[string]int{"east": 99, "west": 1}, nil, true},
		{"without shares, all to one", map[string]int{"east": 100}, nil, false},
	} {
		if err := fair(it.got, it.shares, both); (err == nil) != it.right {
			t.Errorf("%s: %v", it.what, err)
		}
	}
}

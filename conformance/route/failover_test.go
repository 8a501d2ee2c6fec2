package route

import (
	"fmt"
	"testing"

	"meshlatch/conformance/topology"
)

func TestSteps(t *testing.T) {
	ways := []way{
		{answers: topology.Answer{Tiers: [][]string{{"west"}, {"east"}}}},
		{answers: topology.Answer{Tiers: [][]string{{"east", "west"}, {"north"}}}},
	}
	got := fmt.Sprint(steps(ways))
	if want := "[[west] [] [west] [east] [west east] [east west north] []]"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	if got := left(ways[1].answers, []string{"west"}); fmt.Sprint(got) != "[east]" {
		t.Errorf("without west %v is left", got)
	}
	if got := left(ways[1].answers, []string{"west", "east"}); fmt.Sprint(got) != "[north]" {
		t.Errorf("without west and east %v is left", got)
	}
	if got := left(ways[0].answers, []string{"west", "east"}); got != nil {
		t.Errorf("without west and east %v is left", got)
	}
}
